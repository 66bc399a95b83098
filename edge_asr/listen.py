"""The listening loop: a source -> voice activity -> utterances in the store.

The utterance being spoken is on disk while it is spoken: every second of it is appended to an open
file and synchronised. No model but the voice activity detector runs here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.capture.hearing import Hearing
from edge_asr.capture.levels import Level, level_of
from edge_asr.capture.segmenter import (
    SpeechContinued,
    SpeechDropped,
    SpeechEnded,
    SpeechStarted,
)
from edge_asr.records import (
    SAMPLE_RATE,
    AudioChunk,
    EndReason,
    Gap,
    Instant,
    SourceState,
    SourceStatus,
    Utterance,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge_asr.capture.segmenter import SegmentEvent
    from edge_asr.capture.vad import SileroVad
    from edge_asr.config import VadSettings
    from edge_asr.store import Store
    from edge_asr.store.recording import Recording


@dataclass(frozen=True, slots=True)
class Heard:
    """How loud the last chunk was, and whether someone is speaking."""

    level: Level
    speaking: bool


ListenEvent = Heard | SourceStatus | Gap | Utterance


class Listener:
    """Listens to one source until it ends."""

    def __init__(
        self,
        store: Store,
        vad: SileroVad,
        settings: VadSettings,
        *,
        source_name: str,
        observe: Callable[[ListenEvent], None],
    ) -> None:
        self._store = store
        self._hearing = Hearing(vad, settings)
        self._source_name = source_name
        self._observe = observe
        self._recording: Recording | None = None
        self._anchor: tuple[int, Instant] | None = None
        """A sample's position, and when it was captured."""

    def listen(
        self,
        source: Iterable[AudioChunk | Gap | SourceStatus],
        alive: Callable[[], None],
    ) -> None:
        """Store what ``source`` delivers; call ``alive`` at every sign of life from it."""
        for item in source:
            match item:
                case AudioChunk():
                    self._hear(item)
                case Gap():
                    self._act_on(self._hearing.finish(EndReason.INTERRUPTED))
                    self._store.gaps.add(self._source_name, item)
                    self._observe(item)
                case SourceStatus():
                    if item.state is SourceState.NO_DEVICE:
                        # What was said before the microphone went must not wait for its return.
                        self._act_on(self._hearing.finish(EndReason.INTERRUPTED))
                    self._observe(item)
            alive()
        self._act_on(self._hearing.finish(EndReason.END_OF_SOURCE))

    def _hear(self, chunk: AudioChunk) -> None:
        self._anchor = (self._hearing.position, chunk.start)
        self._act_on(self._hearing.hear(chunk.waveform))
        self._observe(Heard(level_of(chunk.waveform), speaking=self._recording is not None))

    def _act_on(self, events: Iterable[SegmentEvent]) -> None:
        for event in events:
            match event:
                case SpeechStarted():
                    self._recording = self._store.utterances.begin(
                        self._source_name,
                        self._instant_of(event.start_sample),
                    )
                    self._recording.append(event.waveform)
                case SpeechContinued():
                    self._open_recording.append(event.waveform)
                case SpeechEnded():
                    self._close(event)
                case SpeechDropped():
                    self._open_recording.discard()
                    self._recording = None

    @property
    def _open_recording(self) -> Recording:
        if self._recording is None:
            raise AssertionError("the segmenter ended speech that it had not started")
        return self._recording

    def _close(self, event: SpeechEnded) -> None:
        utterance = self._store.utterances.close(
            self._open_recording,
            n_samples=event.n_samples,
            reason=event.reason,
        )
        self._recording = None
        self._store.doorbell.ring()
        self._observe(utterance)

    def _instant_of(self, position: int) -> Instant:
        """Return when the sample at ``position`` was captured."""
        if self._anchor is None:
            raise AssertionError("speech before any chunk")
        anchor_position, instant = self._anchor
        return instant.shifted((position - anchor_position) * 1_000_000_000 // SAMPLE_RATE)
