"""What the gate throws away, where it might have been speech: near misses.

A second segmenter with a lower threshold follows the same probabilities. What it takes for speech
and no utterance has is a near miss: ``short`` where it was sure enough and too brief, ``unsure``
where it was never sure enough. Nothing here changes what an utterance is.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.capture.framing import FRAME_SAMPLES
from edge_asr.capture.segmenter import (
    Segmenter,
    SpeechContinued,
    SpeechDropped,
    SpeechEnded,
    SpeechStarted,
)
from edge_asr.capture_settings import VadSettings
from edge_asr.records import SAMPLE_RATE, RejectedBecause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from edge_asr.capture.segmenter import SegmentEvent
    from edge_asr.capture.vad import Probabilities
    from edge_asr.records import EndReason, Waveform

LONGEST_S = 15.0
MIN_SAMPLES = SAMPLE_RATE // 4
"""Less is the edge of an utterance, or a click."""
_MIN_SPEECH_MS, _MIN_SILENCE_MS, _PAD_MS = 96, 320, 192
_Range = tuple[int, int]


@dataclass(frozen=True, slots=True)
class NearMiss:
    """Sound that was nearly taken for speech."""

    start_sample: int
    waveform: Waveform
    peak: float
    """The highest speech probability in it."""
    because: RejectedBecause


class NearMisses:
    """Follows one stream beside its segmenter.

    Args:
        settings: of the segmenter.
        tell: is given each near miss once it is over.
    """

    def __init__(self, settings: VadSettings, tell: Callable[[NearMiss], None]) -> None:
        self._speech_threshold = settings.threshold
        self._threshold = threshold = settings.rejected_threshold
        self._tell = tell
        self._segmenter = Segmenter(
            VadSettings(
                threshold=threshold,
                neg_threshold=threshold,
                min_speech_duration_ms=_MIN_SPEECH_MS,
                max_speech_duration_s=LONGEST_S,
                min_silence_duration_ms=_MIN_SILENCE_MS,
                speech_pad_ms=_PAD_MS,
            )
        )
        n_kept = 2 * int(LONGEST_S * SAMPLE_RATE) // FRAME_SAMPLES
        self._probabilities: deque[float] = deque(maxlen=n_kept)
        self._position = 0
        self._utterances: deque[_Range] = deque(maxlen=64)
        """The last ones: a near miss is over long before so many began."""
        self._open_sample: int | None = None
        """Where the utterance that is being spoken began."""
        self._parts: list[Waveform] = []

    def push(
        self, frames: Waveform, probabilities: Probabilities, events: Iterable[SegmentEvent]
    ) -> None:
        """Take in the next frames and what the segmenter said of them.

        Args:
            frames: shape ``(n_frames * 512,)``.
            probabilities: speech probability of each frame, shape ``(n_frames,)``.
            events: what the segmenter made of these frames.
        """
        self._probabilities.extend(probabilities.tolist())
        self._position += len(frames)
        self._note(events)
        self._follow(self._segmenter.push(frames, probabilities))

    def finish(self, reason: EndReason, events: Iterable[SegmentEvent]) -> None:
        """End what goes on: what is pushed next does not continue it."""
        self._note(events)
        self._follow(self._segmenter.finish(reason))

    def _note(self, events: Iterable[SegmentEvent]) -> None:
        """Remember what utterances have."""
        for event in events:
            match event:
                case SpeechStarted():
                    self._open_sample = event.start_sample
                case SpeechEnded():
                    self._utterances.append((event.start_sample, event.end_sample))
                    self._open_sample = None
                case SpeechDropped():
                    self._open_sample = None

    def _follow(self, events: Iterable[SegmentEvent]) -> None:
        for event in events:
            match event:
                case SpeechStarted():
                    self._parts = [event.waveform]
                case SpeechContinued():
                    self._parts.append(event.waveform)
                case SpeechDropped():
                    self._parts = []
                case SpeechEnded():
                    sound = np.concatenate(self._parts)[: event.n_samples]
                    self._parts = []
                    for near_miss in self._outside(event, sound):
                        self._tell(near_miss)

    def _outside(self, event: SpeechEnded, sound: Waveform) -> Iterator[NearMiss]:
        """Yield what of a stretch no utterance has."""
        taken = list(self._utterances)
        if self._open_sample is not None:
            taken.append((self._open_sample, self._position))
        for start, end in without((event.start_sample, event.end_sample), taken):
            peak = self._peak(start, end)
            if end - start < MIN_SAMPLES or peak < self._threshold:
                continue
            short = peak >= self._speech_threshold
            because = RejectedBecause.SHORT if short else RejectedBecause.UNSURE
            piece = sound[start - event.start_sample : end - event.start_sample]
            yield NearMiss(start, piece, peak, because)

    def _peak(self, start: int, end: int) -> float:
        """Return the highest probability of the whole frames from ``start`` to ``end``."""
        first_kept = self._position // FRAME_SAMPLES - len(self._probabilities)
        first = max(0, -(-start // FRAME_SAMPLES) - first_kept)
        frames = list(self._probabilities)[first : max(first, end // FRAME_SAMPLES - first_kept)]
        return max(frames, default=0.0)


def without(stretch: _Range, taken: Sequence[_Range]) -> Iterator[_Range]:
    """Yield the parts of a stretch that lie in none of the ranges ``taken``."""
    start, end = stretch
    for begins, ends in sorted(taken):
        if ends <= start or begins >= end:
            continue
        if begins > start:
            yield start, begins
        start = max(start, ends)
    if start < end:
        yield start, end
