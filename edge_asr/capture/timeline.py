"""Put the frames of one open device on the monotonic clock, and notice those that are missing.

Sound servers drop sound without a word: after a stall of six seconds, five are gone and no call
has failed. What shows it is the clock: frames fall behind it for good. A read that returns late
falls behind too, but the reads after it catch up; so frames that are late are held back for a
moment, until it is clear which of the two it is, and a loss is placed where it happened.

A device's own clock differs from the computer's by less than 2 %. That much is followed slowly and
is no loss.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_asr.capture.wire import PcmFrames

TOLERATED_LAG_NS = 150_000_000
"""Frames may be late by so much before it is looked into: the jitter of a busy machine."""
HOLD_NS = 500_000_000
"""How long late frames are held back: reads that only came late have caught up long before."""
TOLERATED_DRIFT = 0.02
_WINDOW_NS = 1_000_000_000
"""Over so long, the frame that was least late says where the device's clock is."""
_NS_PER_S = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Placed:
    """Frames, and when the first of them was captured."""

    start_ns: int
    """``CLOCK_MONOTONIC``."""
    end_ns: int
    pcm: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Frames that never came."""

    start_ns: int
    """``CLOCK_MONOTONIC``."""
    end_ns: int


class Timeline:
    """The frames of one open device, from its first read on.

    Args:
        sample_rate: frames per second, as the device was opened.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._origin_ns: int | None = None
        """When frame 0 was captured, as far as is known now."""
        self._n_frames = 0
        """How many frames were placed since the origin."""
        self._held: list[PcmFrames] = []
        self._least_held_lag_ns = 0
        self._overflowed = False
        self._window_start_ns = 0
        self._least_lag_ns = 0

    def place(self, frames: PcmFrames) -> list[Placed | Lost]:
        """Take in what one read gave; return what is certain by now, in order."""
        if self._origin_ns is None:
            self._origin_ns = frames.read_ns - self._ns(frames.n_frames)
            self._begin_window(frames.read_ns)
            return [self._put(frames)]
        lag_ns = self._lag_ns(frames)
        if not self._held:
            if lag_ns <= TOLERATED_LAG_NS and not frames.overflowed:
                return [self._put(frames)]
            self._least_held_lag_ns = lag_ns
        self._held.append(frames)
        self._least_held_lag_ns = min(self._least_held_lag_ns, lag_ns)
        self._overflowed |= frames.overflowed
        if lag_ns <= TOLERATED_LAG_NS and not self._overflowed:
            return list(self.release())
        if frames.read_ns - self._held[0].read_ns < HOLD_NS:
            return []
        return [self._lose(), *self.release()]

    def release(self) -> list[Placed]:
        """Return the frames held back, as they are: nothing comes after them that could tell."""
        held, self._held = self._held, []
        self._overflowed = False
        return [self._put(frames) for frames in held]

    def _lose(self) -> Lost:
        """Move what follows by as much as every frame held is late."""
        start_ns = self._due_ns()
        lost_ns = max(self._least_held_lag_ns, 0)
        self._shift(lost_ns)
        self._begin_window(self._held[0].read_ns)
        return Lost(start_ns, start_ns + lost_ns)

    def _put(self, frames: PcmFrames) -> Placed:
        lag_ns = self._lag_ns(frames, held=False)
        if lag_ns < 0:  # sound cannot be read before it was captured: the origin was too late
            self._shift(lag_ns)
            lag_ns = 0
        self._follow_drift(frames.read_ns, lag_ns)
        start_ns = self._due_ns()
        self._n_frames += frames.n_frames
        return Placed(start_ns, self._due_ns(), frames.pcm)

    def _follow_drift(self, read_ns: int, lag_ns: int) -> None:
        self._least_lag_ns = min(self._least_lag_ns, lag_ns)
        window_ns = read_ns - self._window_start_ns
        if window_ns >= _WINDOW_NS:
            self._shift(min(self._least_lag_ns, int(window_ns * TOLERATED_DRIFT)))
            self._begin_window(read_ns)

    def _begin_window(self, start_ns: int) -> None:
        self._window_start_ns = start_ns
        self._least_lag_ns = TOLERATED_LAG_NS

    def _lag_ns(self, frames: PcmFrames, *, held: bool = True) -> int:
        """Return how much later ``frames`` came than the clock expects, at the earliest."""
        n_held = sum(others.n_frames for others in self._held) if held else 0
        n_frames = self._n_frames + n_held + frames.n_frames
        return frames.read_ns - self._origin() - self._ns(n_frames)

    def _due_ns(self) -> int:
        """Return when the next frame is due."""
        return self._origin() + self._ns(self._n_frames)

    def _shift(self, shift_ns: int) -> None:
        self._origin_ns = self._origin() + shift_ns

    def _origin(self) -> int:
        if self._origin_ns is None:
            raise AssertionError("no frame was placed yet")
        return self._origin_ns

    def _ns(self, n_frames: int) -> int:
        return n_frames * _NS_PER_S // self._sample_rate
