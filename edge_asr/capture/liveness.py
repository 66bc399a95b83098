"""Is the microphone alive? A state machine that hears what the listener hears, and remembers.

Each condition has a time for which it must hold before it is an alarm, and a time for which it must
not hold before the alarm is over, so that none of them flaps. Everything is judged by the chunks'
own clock (``CLOCK_MONOTONIC``), so it can be tested faster than time.

Repetition is found where the repeated stretch comes back exactly at 16 kHz. A device that repeats a
buffer at a rate that 16 kHz does not divide (44.1 kHz) may escape it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.alarms import AlarmChange, AlarmCode
from edge_asr.audio import PCM16_SCALE
from edge_asr.capture.levels import level_of
from edge_asr.records import SAMPLE_RATE, SourceState

if TYPE_CHECKING:
    from edge_asr.capture_settings import LivenessSettings
    from edge_asr.records import AudioChunk, SourceStatus, Waveform

_NS_PER_S = 1_000_000_000
_ZERO = 0.25 / PCM16_SCALE
"""Smaller is a zero of 16-bit sound, whatever a resampler made of it."""
_FULL_SCALE = 0.999
_CLIPPING_WINDOW_S = 10.0
_HISTORY_SAMPLES = 2 * SAMPLE_RATE
_PRINT_SAMPLES = 64
"""So many samples in a row do not come back by chance..."""
_PRINT_LEAST_RANGE = 16
"""...if they are louder than this, in steps of 16-bit sound, and compared to one step."""
_DEAF_RANGE_DB = 6.0
"""Noise of its own keeps a microphone's level within less; any event in a room exceeds it."""
_RATE_WINDOW_NS = 10 * _NS_PER_S
_RATE_WINDOWS = 3
TOLERATED_RATE = 0.02


@dataclass(slots=True)
class _Condition:
    """Holds or not, and since when."""

    code: AlarmCode
    raise_after_s: float
    clear_after_s: float
    raised: bool | None = None
    """None: nothing was said yet, and what an earlier life said may still stand in the log."""
    _held: bool | None = None
    _since_ns: int = 0

    def see(self, *, holds: bool, at_ns: int, detail: str) -> list[AlarmChange]:
        """Take in whether it holds at a moment; return the change this makes, if it makes any."""
        if holds != self._held:
            self._held, self._since_ns = holds, at_ns
        needed_s = self.raise_after_s if holds else self.clear_after_s
        if holds == self.raised or at_ns - self._since_ns < needed_s * _NS_PER_S:
            return []
        self.raised = holds
        return [AlarmChange(self.code, holds, detail if holds else "it is well again")]


class Liveness:
    """Judges one microphone. Feed it all that the source delivers, in order."""

    def __init__(self, settings: LivenessSettings) -> None:
        self._settings = settings
        deaf_after_s = settings.deaf_after_h * 3600
        self._gone = _Condition(AlarmCode.MIC_GONE, 3.0, 3.0)
        self._silent = _Condition(AlarmCode.MIC_SILENT, settings.silent_after_s, 1.0)
        self._stuck = _Condition(AlarmCode.MIC_STUCK, settings.stuck_after_s, 5.0)
        self._clipping = _Condition(AlarmCode.MIC_CLIPPING, 3.0, _CLIPPING_WINDOW_S)
        self._deaf = _Condition(AlarmCode.MIC_DEAF, deaf_after_s, 1.0)
        self._rate = _Condition(AlarmCode.MIC_RATE, 0.0, 0.0)
        self._invalid = _Condition(AlarmCode.MIC_INVALID, 0.0, 60.0)
        self._history = np.zeros(0, np.int32)
        self._clipped: deque[tuple[int, int, int]] = deque()
        """Of the last chunks: when they ended, how many samples they have and were clipped."""
        self._quietest_dbfs = self._loudest_dbfs = 0.0
        self._meter = _RateMeter()

    def hear(self, chunk: AudioChunk, arrived_ns: int, *, speaking: bool) -> list[AlarmChange]:
        """Judge a chunk.

        Args:
            chunk: the next one.
            arrived_ns: when it was delivered, ``CLOCK_MONOTONIC``.
            speaking: whether it is part of an utterance.
        """
        waveform = chunk.waveform
        if not len(waveform):
            return []
        at_ns = chunk.start.monotonic_ns + len(waveform) * _NS_PER_S // SAMPLE_RATE
        is_silent = float(np.abs(waveform).max()) < _ZERO
        return [
            *self._gone.see(holds=False, at_ns=at_ns, detail=""),
            *self._silent.see(
                holds=is_silent,
                at_ns=at_ns,
                detail=f"nothing but digital zeros for {self._settings.silent_after_s:.0f} s: "
                "it is muted or broken",
            ),
            *self._see_stuck(waveform, at_ns, is_silent=is_silent),
            *self._see_clipping(waveform, at_ns),
            *self._see_deaf(waveform, at_ns, speaking=speaking),
            *self._see_rate(len(waveform), at_ns, arrived_ns),
            *self._invalid.see(
                holds=chunk.n_invalid > 0,
                at_ns=at_ns,
                detail=f"{chunk.n_invalid} samples were no numbers and became silence",
            ),
        ]

    def take(self, status: SourceStatus, now_ns: int) -> list[AlarmChange]:
        """Judge what the source says about itself."""
        if status.state is SourceState.HEARING:
            return []
        self._history = np.zeros(0, np.int32)
        self._clipped.clear()
        self._meter = _RateMeter()
        gone = status.state is SourceState.NO_DEVICE
        return self._gone.see(holds=gone, at_ns=now_ns, detail=status.detail)

    def _see_stuck(self, waveform: Waveform, at_ns: int, *, is_silent: bool) -> list[AlarmChange]:
        steps = np.round(waveform * PCM16_SCALE).astype(np.int32)
        constant = not is_silent and int(np.ptp(steps)) == 0
        repeated = not is_silent and not constant and _is_in(self._history, steps)
        self._history = np.concatenate([self._history, steps])[-_HISTORY_SAMPLES:]
        what = "the same sample" if constant else "the same stretch of sound"
        detail = f"{what} again and again for {self._settings.stuck_after_s:.0f} s"
        return self._stuck.see(holds=constant or repeated, at_ns=at_ns, detail=detail)

    def _see_clipping(self, waveform: Waveform, at_ns: int) -> list[AlarmChange]:
        n_clipped = int(np.count_nonzero(np.abs(waveform) >= _FULL_SCALE))
        self._clipped.append((at_ns, len(waveform), n_clipped))
        while self._clipped[0][0] < at_ns - _CLIPPING_WINDOW_S * _NS_PER_S:
            self._clipped.popleft()
        share = sum(n for _, _, n in self._clipped) / sum(n for _, n, _ in self._clipped)
        limit = self._settings.clipping_share
        holds = share >= (limit / 2 if self._clipping.raised else limit)
        detail = f"{share:.1%} of its samples are at full scale: turn the gain down"
        return self._clipping.see(holds=holds, at_ns=at_ns, detail=detail)

    def _see_deaf(self, waveform: Waveform, at_ns: int, *, speaking: bool) -> list[AlarmChange]:
        if not self._settings.deaf_after_h:
            return self._deaf.see(holds=False, at_ns=at_ns, detail="")
        rms_dbfs = level_of(waveform).rms_dbfs
        self._quietest_dbfs = min(self._quietest_dbfs, rms_dbfs)
        self._loudest_dbfs = max(self._loudest_dbfs, rms_dbfs)
        holds = not speaking and self._loudest_dbfs - self._quietest_dbfs <= _DEAF_RANGE_DB
        if not holds:
            self._quietest_dbfs = self._loudest_dbfs = rms_dbfs
        hours = self._settings.deaf_after_h
        detail = f"for {hours:g} h nothing but its own noise at {rms_dbfs:.0f} dB"
        return self._deaf.see(holds=holds, at_ns=at_ns, detail=detail)

    def _see_rate(self, n_samples: int, at_ns: int, arrived_ns: int) -> list[AlarmChange]:
        ratio = self._meter.take(n_samples, arrived_ns)
        if ratio is None:
            return []
        detail = f"it gives {ratio:.1%} of the sound that its sample rate promises"
        holds = abs(ratio - 1) > TOLERATED_RATE
        return self._rate.see(holds=holds, at_ns=at_ns, detail=detail)


class _RateMeter:
    """How fast sound comes, of real time: the median of three windows, so that no stall counts."""

    def __init__(self) -> None:
        self._start_ns: int | None = None
        self._n_samples = 0
        self._ratios: deque[float] = deque(maxlen=_RATE_WINDOWS)

    def take(self, n_samples: int, arrived_ns: int) -> float | None:
        """Take in what arrived; return the ratio when another window is over, else None."""
        if self._start_ns is None:
            self._start_ns = arrived_ns
            return None
        self._n_samples += n_samples
        elapsed_ns = arrived_ns - self._start_ns
        if elapsed_ns < _RATE_WINDOW_NS:
            return None
        self._ratios.append(self._n_samples / SAMPLE_RATE / (elapsed_ns / _NS_PER_S))
        self._start_ns, self._n_samples = arrived_ns, 0
        full = len(self._ratios) == _RATE_WINDOWS
        return sorted(self._ratios)[_RATE_WINDOWS // 2] if full else None


def _is_in(
    history: np.ndarray[tuple[int], np.dtype[np.int32]],
    steps: np.ndarray[tuple[int], np.dtype[np.int32]],
) -> bool:
    """Say whether the beginning of ``steps`` was heard before, to one step of 16-bit sound."""
    fingerprint = steps[:_PRINT_SAMPLES]
    n_places = len(history) - _PRINT_SAMPLES + 1
    too_short = len(fingerprint) < _PRINT_SAMPLES or n_places <= 0
    if too_short or int(np.ptp(fingerprint)) < _PRINT_LEAST_RANGE:
        return False
    first, *others = fingerprint.tolist()
    places = np.flatnonzero(np.abs(history[:n_places] - first) <= 1)
    for offset, step in enumerate(others, 1):
        places = places[np.abs(history[places + offset] - step) <= 1]
        if not len(places):
            return False
    return True
