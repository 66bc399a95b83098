"""The listening loop: a source -> voice activity -> utterances in the store.

The utterance being spoken is on disk while it is spoken: every second of it is appended to an open
file and synchronised. No model but the voice activity detector runs here.

Every second is accounted for: by sound, by a gap that the source tells of, or, where the source
leaves a hole, by a gap that is stored here.
"""

from __future__ import annotations

import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.alarming import AlarmBook
from edge_asr.alarms import AlarmChange
from edge_asr.capture.hearing import Hearing
from edge_asr.capture.levels import Level, level_of
from edge_asr.capture.segmenter import (
    SpeechContinued,
    SpeechDropped,
    SpeechEnded,
    SpeechStarted,
)
from edge_asr.clock import now
from edge_asr.errors import StoreError
from edge_asr.records import (
    SAMPLE_RATE,
    AudioChunk,
    EndReason,
    Gap,
    GapKind,
    Instant,
    SourceState,
    SourceStatus,
    Utterance,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge_asr.capture.liveness import Liveness
    from edge_asr.capture.segmenter import SegmentEvent
    from edge_asr.capture.vad import SileroVad
    from edge_asr.config import VadSettings
    from edge_asr.store import Store
    from edge_asr.store.recording import Recording
    from edge_asr.store.watches import Watch

CLOCK_INTERVAL_S = 1.0
"""How soon a jump of the clock is noticed."""
HOLE_NS = 250_000_000
"""A source that leaves so much time unaccounted for gave no sound meanwhile. Less is jitter."""


@dataclass(frozen=True, slots=True)
class Heard:
    """How loud the last chunk was, and whether someone is speaking."""

    level: Level
    speaking: bool


ListenEvent = Heard | SourceStatus | Gap | Utterance | AlarmChange


class Listener:
    """Listens to one source until it ends.

    Args:
        store: where utterances, gaps, alarms and the account of time go.
        vad: tells speech from silence.
        settings: what an utterance is.
        source_name: what the log calls the source.
        observe: is told of everything, after it was committed.
        liveness: judges whether the microphone is well; None where there is nothing to judge.
    """

    def __init__(
        self,
        store: Store,
        vad: SileroVad,
        settings: VadSettings,
        *,
        source_name: str,
        observe: Callable[[ListenEvent], None],
        liveness: Liveness | None = None,
    ) -> None:
        self._store = store
        self._hearing = Hearing(vad, settings)
        self._source_name = source_name
        self._observe = observe
        self._liveness = liveness
        self._alarms = AlarmBook(store, source_name, observe)
        self._recording: Recording | None = None
        self._anchor: tuple[int, Instant] | None = None
        """A sample's position, and when it was captured."""
        self._timed_at_s = time.monotonic()

    def listen(
        self,
        source: Iterable[AudioChunk | Gap | SourceStatus],
        alive: Callable[[], None],
    ) -> None:
        """Store what ``source`` delivers; call ``alive`` at every sign of life from it."""
        with self._watching() as watch:
            for item in source:
                match item:
                    case AudioChunk():
                        self._fill_hole(watch, item)
                        self._hear(item)
                        watch.heard(_end_ns(item), len(item.waveform), item.n_invalid)
                    case Gap():
                        self._miss(watch, item)
                    case SourceStatus():
                        self._take_status(watch, item)
                self._keep_time(watch)
                alive()
            self._act_on(self._hearing.finish(EndReason.END_OF_SOURCE))

    @contextmanager
    def _watching(self) -> Iterator[Watch]:
        """Watch the source; a failure leaves the watch to be ended by the next start."""
        moment = now()
        self._store.anchors.note(moment)
        watch = self._store.watches.begin(self._source_name, moment)
        yield watch
        watch.end()
        self._alarms.clear_all("listening ended")

    def _take_status(self, watch: Watch, status: SourceStatus) -> None:
        if status.state is not SourceState.HEARING:
            # What was said before the microphone went must not wait for its return.
            self._act_on(self._hearing.finish(EndReason.INTERRUPTED))
            watch.absent(status.state, time.monotonic_ns())
        self._observe(status)
        if self._liveness is not None:
            self._alarms.take(self._liveness.take(status, time.monotonic_ns()))

    def _fill_hole(self, watch: Watch, chunk: AudioChunk) -> None:
        """Store the time for which the source has no word, such as that of opening a device."""
        hole_ns = chunk.start.monotonic_ns - watch.position_ns
        if hole_ns > HOLE_NS:
            start = chunk.start.shifted(-hole_ns)
            why = "no sound was delivered" if watch.has_heard else "opening it"
            self._miss(watch, Gap(GapKind.NO_DEVICE, start, hole_ns / 1e9, why))

    def _miss(self, watch: Watch, gap: Gap) -> None:
        self._act_on(self._hearing.finish(EndReason.INTERRUPTED))
        self._store.gaps.add(self._source_name, gap)
        watch.missed(gap.start.monotonic_ns + round(gap.duration_s * 1e9))
        self._observe(gap)

    def _keep_time(self, watch: Watch) -> None:
        """Note what the clocks say, about once a second, and leave a heartbeat if it is time."""
        if time.monotonic() - self._timed_at_s >= CLOCK_INTERVAL_S:
            self._timed_at_s = time.monotonic()
            with suppress(StoreError):  # asked again in a second
                self._store.anchors.note(now())
            self._alarms.retry()
        watch.beat()

    def _hear(self, chunk: AudioChunk) -> None:
        self._anchor = (self._hearing.position, chunk.start)
        self._act_on(self._hearing.hear(chunk.waveform))
        speaking = self._recording is not None
        self._observe(Heard(level_of(chunk.waveform), speaking=speaking))
        if self._liveness is not None:
            arrived_ns = time.monotonic_ns()
            self._alarms.take(self._liveness.hear(chunk, arrived_ns, speaking=speaking))

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


def _end_ns(chunk: AudioChunk) -> int:
    """Return when a chunk ends, ``CLOCK_MONOTONIC``."""
    return chunk.start.monotonic_ns + len(chunk.waveform) * 1_000_000_000 // SAMPLE_RATE
