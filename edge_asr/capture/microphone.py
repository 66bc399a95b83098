"""A microphone as a source that never ends by itself: absence is a state, not an error.

The sound system is never trusted. A process of its own reads the device; here its frames are
watched against the monotonic clock. When none come for a second it is killed and started anew,
until the microphone is back, and the time without sound becomes a gap.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

from edge_asr.capture import wire
from edge_asr.capture.child import PortAudioChild
from edge_asr.capture.devices import check
from edge_asr.capture.resampling import in_words
from edge_asr.capture.stream import DeviceStream, instant_at
from edge_asr.records import AudioChunk, Gap, GapKind, SourceState, SourceStatus

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from types import TracebackType

    from edge_asr.config import MicrophoneSettings

    Heard = AudioChunk | Gap | SourceStatus

FIRST_FRAMES_TIMEOUT_S = 5.0
FRAMES_TIMEOUT_S = 1.0
STATUS_INTERVAL_S = 1.0
_USUAL_OPENING_S = 2.5
"""A start that takes no longer is not worth a word: sound servers take up to two seconds."""
FIRST_BACK_OFF_S = 0.25
LONGEST_BACK_OFF_S = 1.5
SOUND_CARDS = Path("/proc/asound/cards")
"""The kernel's list. A card that comes or goes ends any wait: reading it costs nothing, where
starting a process to look for the microphone costs a tenth of a second of processor."""
_STEADY_S = 5.0
"""A device heard for so long works; its next failure is a new one."""
_POLL_S = 0.2
"""How soon a stop is noticed while there is no microphone."""
_LOOK_S = 0.6
"""How soon it is noticed while one is read that gives no frames: longer than any read."""


class Microphone:
    """Hears one microphone until it is stopped.

    It yields sound as it comes, a :class:`SourceStatus` at each change and every second while there
    is no sound, and a :class:`Gap` for each stretch of time that is missing. Iterate it in the
    thread that lives longest: the process that reads the device ends with the thread that started
    it.

    Args:
        settings: which microphone, and how to open it.
        stop: ends the source when it is set.

    Raises:
        MicrophoneError: ``settings.device`` is of no form that could mean a microphone.
    """

    def __init__(self, settings: MicrophoneSettings, stop: threading.Event) -> None:
        check(settings.device)
        self._settings = settings
        self._stop = stop
        self._presence = _Presence()
        self._child: PortAudioChild | None = None
        self._stream: DeviceStream | None = None
        self._closely = True

    def attend(self, *, closely: bool) -> None:
        """Deliver sound often, or seldom and more of it at once; any thread may call this."""
        self._closely = closely
        child = self._child
        if child is not None:
            child.attend(closely=closely)

    @property
    def name(self) -> str:
        """What the configuration calls it."""
        return self._settings.name

    @property
    def child_pid(self) -> int | None:
        """The process that reads the device now, if there is one."""
        return None if self._child is None else self._child.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._kill_child()

    def __iter__(self) -> Iterator[Heard]:
        self._presence = _Presence()
        back_off_s = FIRST_BACK_OFF_S
        while not self._stop.is_set():
            opened_s = time.monotonic()
            yield from self._hear_one_child()
            if time.monotonic() - opened_s > _STEADY_S + FIRST_FRAMES_TIMEOUT_S:
                back_off_s = FIRST_BACK_OFF_S
            cards = _sound_cards()
            yield from self._wait(back_off_s, cards)
            same = cards == _sound_cards()
            back_off_s = min(2 * back_off_s, LONGEST_BACK_OFF_S) if same else FIRST_BACK_OFF_S
        yield from self._presence.absence_until(time.monotonic_ns())

    def _hear_one_child(self) -> Iterator[Heard]:
        """Yield what one life of the reading process gives, until it fails or we are stopped."""
        self._child = child = PortAudioChild(self._settings)
        self._stream = None
        failure = ""
        while not (failure or self._stop.is_set()):
            for kind, payload in child.messages(_LOOK_S):
                if kind == wire.OPENED:
                    self._stream = self._open(json.loads(payload))
                elif kind == wire.FAILED:
                    failure = payload.decode()
                elif self._stream is not None:
                    yield from self._presence.follow(self._stream.hear(wire.frames_of(payload)))
            yield from self._presence.reminder()
            failure = failure or self._failure_of(child)
        self._kill_child()
        if self._stream is not None:
            yield from self._presence.follow(self._stream.finish())
        if failure:
            yield from self._presence.lose(failure)

    def _failure_of(self, child: PortAudioChild) -> str:
        """Say what is wrong with ``child``, if anything is."""
        if child.has_ended:
            return "the process that reads it died"
        has_sound = self._stream is not None and self._stream.has_sound
        timeout_s = FRAMES_TIMEOUT_S if has_sound else FIRST_FRAMES_TIMEOUT_S
        return f"no sound for {timeout_s:.0f} s" if child.silent_s > timeout_s else ""

    def _open(self, opened: dict[str, str | int]) -> DeviceStream:
        sample_rate, n_channels = int(opened["sample_rate"]), int(opened["n_channels"])
        if self._child is not None:
            self._child.attend(closely=self._closely)
        self._presence.device = f"{opened['device']}, {in_words(sample_rate, n_channels)}"
        return DeviceStream(sample_rate, n_channels, self._settings.channel)

    def _wait(self, duration_s: float, cards: bytes) -> Iterator[SourceStatus]:
        """Wait so long, or until there are other sound cards than ``cards``."""
        end_s = time.monotonic() + duration_s
        while (left_s := end_s - time.monotonic()) > 0 and not self._stop.is_set():
            self._stop.wait(min(left_s, self._presence.reminder_due_s, _POLL_S))
            yield from self._presence.reminder()
            if _sound_cards() != cards:
                return

    def _kill_child(self) -> None:
        if self._child is not None:
            self._child.__exit__(None, None, None)
            self._child = None


def _sound_cards() -> bytes:
    try:
        return SOUND_CARDS.read_bytes()
    except OSError:  # a kernel without sound, or a sandbox
        return b""


@dataclass(slots=True)
class _Presence:
    """Whether there is sound, what was said about it, and since when there is none."""

    device: str = ""
    _hearing: bool = False
    _absence_told: bool = False
    _detail: str = "opening it"
    _sound_end_ns: int = field(default_factory=time.monotonic_ns)
    _told_ns: int = field(default_factory=time.monotonic_ns)

    def follow(self, sound: Iterator[AudioChunk | Gap]) -> Iterator[Heard]:
        """Yield ``sound``, with a word before it if there was none until now."""
        for item in sound:
            if isinstance(item, AudioChunk):
                start_ns = item.start.monotonic_ns
                if not self._hearing:
                    yield from self.absence_until(start_ns)
                    yield SourceStatus(SourceState.HEARING, self.device)
                    self._hearing, self._absence_told = True, False
                self._sound_end_ns = start_ns + int(item.duration_s * 1e9)
            yield item

    def lose(self, failure: str) -> Iterator[SourceStatus]:
        """Say that there is no sound any more, unless that is known."""
        self._detail = failure
        if self._hearing or not self._absence_told:
            self._hearing = False
            yield self._absence()

    @property
    def reminder_due_s(self) -> float:
        """In how many seconds absence is to be told again."""
        interval_s = STATUS_INTERVAL_S if self._absence_told else _USUAL_OPENING_S
        return max(0.0, interval_s - (time.monotonic_ns() - self._told_ns) / 1e9)

    def reminder(self) -> Iterator[SourceStatus]:
        """Say again that there is no sound, if that was a second ago."""
        if not self._hearing and self.reminder_due_s <= 0:
            yield self._absence()

    def absence_until(self, end_ns: int) -> Iterator[Gap]:
        """Yield the time without sound as a gap, if there was any worth a word."""
        if self._absence_told:
            start_ns = self._sound_end_ns
            duration_s = max(0, end_ns - start_ns) / 1e9
            yield Gap(GapKind.NO_DEVICE, instant_at(start_ns), duration_s, self._detail)

    def _absence(self) -> SourceStatus:
        self._absence_told = True
        self._told_ns = time.monotonic_ns()
        return SourceStatus(SourceState.NO_DEVICE, self._detail)
