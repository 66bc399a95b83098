"""The listening loop: a source -> voice activity -> utterances in the store.

The utterance being spoken is on disk while it is spoken: every second of it is appended to an open
file and synchronised. No model but the voice activity detector runs here.

Every second is accounted for: by sound, by a gap that the source tells of, or, where the source
leaves a hole, by a gap that is stored here.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from edge_asr.alarming import AlarmBook
from edge_asr.alarms import AlarmChange
from edge_asr.buffering import Buffer
from edge_asr.capture.hearing import Hearing
from edge_asr.capture.levels import Level, level_of
from edge_asr.capture.near_misses import NearMisses
from edge_asr.capture.segmenter import (
    SpeechContinued,
    SpeechDropped,
    SpeechEnded,
    SpeechStarted,
)
from edge_asr.clock import SampleClock, now
from edge_asr.errors import DiskRefusesError, StoreError
from edge_asr.insisting import Insister
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
    from collections.abc import Callable, Iterable

    from edge_asr.capture.liveness import Liveness
    from edge_asr.capture.near_misses import NearMiss
    from edge_asr.capture.segmenter import SegmentEvent
    from edge_asr.capture.vad import SileroVad
    from edge_asr.config import VadSettings
    from edge_asr.records import RejectedBecause, Waveform
    from edge_asr.store import Store
    from edge_asr.store.recording import Recording
    from edge_asr.store.watches import Watch

    Keep = Callable[[str, Instant, Waveform, float, RejectedBecause], None]

LAST_TRIES_S = 8.0
"""How long it is asked after the source has ended: systemd waits for 15 s."""
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
        live: the source does not wait: while the disk refuses, its sound is kept in memory.
        look_around: is called about once a second, in the thread that uses the store.
        keep: is given what was nearly taken for speech; None: nobody wants it.
        attend: is told, at each change, whether somebody speaks: then sound is wanted often.
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
        live: bool = False,
        look_around: Callable[[], None] = lambda: None,
        keep: Keep | None = None,
        attend: Callable[[bool], None] = lambda _closely: None,
    ) -> None:
        self._store = store
        near = None if keep is None else NearMisses(settings, partial(self._reject, keep))
        self._hearing = Hearing(vad, settings, near, attend=attend)
        self._source_name = source_name
        self._observe = observe
        self._liveness = liveness
        self._alarms = AlarmBook(store, source_name, observe)
        self._watch: Watch | None = None
        self._recording: Recording | None = None
        self._captured = SampleClock()
        self._timed_at_s = time.monotonic()
        self._live = live
        self._look_around = look_around
        self._buffer: Buffer | None = None
        self._ended_s: float | None = None
        self._insist = Insister(
            self._alarms,
            source_name,
            observe,
            gives_up=self._gives_up,
            meanwhile=self._disk_answers,
        )

    def listen(
        self,
        source: Iterable[AudioChunk | Gap | SourceStatus],
        alive: Callable[[], None],
    ) -> None:
        """Store what ``source`` delivers; call ``alive`` at signs of life from both ends."""
        began = now()
        self._buffer = Buffer(partial(self._take, began), live=self._live)
        self._buffer.pour(source, alive)
        self._act_on(self._hearing.finish(EndReason.END_OF_SOURCE))
        with suppress(StoreError):  # then the next start ends it
            if self._watch is not None:
                self._watch.end()
            self._alarms.clear_all("listening ended")

    def _take(self, began: Instant, item: AudioChunk | Gap | SourceStatus, arrived_ns: int) -> None:
        if self._watch is None:
            self._watch = self._insist.write(partial(self._begin_watch, began))
        watch = self._watch
        match item:
            case AudioChunk():
                self._fill_hole(watch, item)
                self._hear(item, arrived_ns)
                watch.heard(_end_ns(item), len(item.waveform), item.n_invalid)
            case Gap():
                self._miss(watch, item)
            case SourceStatus():
                self._take_status(watch, item, arrived_ns)
        self._keep_time(watch)

    def _gives_up(self) -> bool:
        """Say whether waiting for the disk has to end: what is heard meanwhile waits in memory."""
        if self._buffer is None or not self._live:
            return True
        if not self._buffer.source_ended:
            return False
        self._ended_s = self._ended_s or time.monotonic()
        return time.monotonic() - self._ended_s > LAST_TRIES_S

    def _disk_answers(self) -> None:
        if self._buffer is not None:
            self._buffer.moved()

    def _begin_watch(self, began: Instant) -> Watch:
        """Begin to watch the source; a failure leaves the watch to be ended by the next start."""
        self._store.anchors.note(began)
        return self._store.watches.begin(self._source_name, began)

    def _take_status(self, watch: Watch, status: SourceStatus, arrived_ns: int) -> None:
        if status.state is not SourceState.HEARING:
            # What was said before the microphone went must not wait for its return.
            self._act_on(self._hearing.finish(EndReason.INTERRUPTED))
            watch.absent(status.state, arrived_ns)
        self._observe(status)
        if self._liveness is not None:
            self._alarms.take(self._liveness.take(status, arrived_ns))

    def _fill_hole(self, watch: Watch, chunk: AudioChunk) -> None:
        """Store the time for which the source has no word, such as that of opening a device."""
        hole_ns = chunk.start.monotonic_ns - watch.position_ns
        if hole_ns > HOLE_NS:
            start = chunk.start.shifted(-hole_ns)
            why = "no sound was delivered" if watch.has_heard else "opening it"
            self._miss(watch, Gap(GapKind.NO_DEVICE, start, hole_ns / 1e9, why))

    def _miss(self, watch: Watch, gap: Gap) -> None:
        self._act_on(self._hearing.finish(EndReason.INTERRUPTED))
        self._insist.write(partial(self._store.gaps.add, self._source_name, gap))
        watch.missed(gap.start.monotonic_ns + round(gap.duration_s * 1e9))
        self._observe(gap)

    def _keep_time(self, watch: Watch) -> None:
        """Note what the clocks say, about once a second, and leave a heartbeat if it is time."""
        if time.monotonic() - self._timed_at_s >= CLOCK_INTERVAL_S:
            self._timed_at_s = time.monotonic()
            with suppress(StoreError):  # asked again in a second
                self._store.anchors.note(now())
                self._look_around()
            self._alarms.retry()
        watch.beat()

    def _hear(self, chunk: AudioChunk, arrived_ns: int) -> None:
        self._captured.note(self._hearing.position, chunk.start)
        self._act_on(self._hearing.hear(chunk.waveform))
        speaking = self._recording is not None
        self._observe(Heard(level_of(chunk.waveform), speaking=speaking))
        if self._liveness is not None:
            self._alarms.take(self._liveness.hear(chunk, arrived_ns, speaking=speaking))

    def _act_on(self, events: Iterable[SegmentEvent]) -> None:
        for event in events:
            match event:
                case SpeechStarted():
                    self._begin(event)
                case SpeechContinued():
                    self._append(event.waveform)
                case SpeechEnded():
                    self._close(event)
                case SpeechDropped():
                    self._insist.write(self._open_recording.discard)
                    self._recording = None

    def _begin(self, event: SpeechStarted) -> None:
        start = self._captured.at(event.start_sample)
        self._recording = self._insist.write(
            partial(self._store.utterances.begin, self._source_name, start)
        )
        self._append(event.waveform)

    def _append(self, waveform: Waveform) -> None:
        try:
            self._open_recording.append(waveform)
        except DiskRefusesError:  # the recording has kept it
            self._insist.write(self._open_recording.flush)

    @property
    def _open_recording(self) -> Recording:
        if self._recording is None:
            raise AssertionError("the segmenter ended speech that it had not started")
        return self._recording

    def _close(self, event: SpeechEnded) -> None:
        utterance = self._insist.write(
            partial(
                self._store.utterances.close,
                self._open_recording,
                n_samples=event.n_samples,
                reason=event.reason,
            )
        )
        self._recording = None
        self._store.doorbell.ring()
        self._observe(utterance)

    def _reject(self, keep: Keep, missed: NearMiss) -> None:
        start = self._captured.at(missed.start_sample)
        keep(self._source_name, start, missed.waveform, missed.peak, missed.because)


def _end_ns(chunk: AudioChunk) -> int:
    """Return when a chunk ends, ``CLOCK_MONOTONIC``."""
    return chunk.start.monotonic_ns + len(chunk.waveform) * 1_000_000_000 // SAMPLE_RATE
