"""Cut utterances out of frames by their speech probabilities: a pure state machine.

The rules and their names are Silero's. Speech begins at a frame of ``threshold`` or more, with
``speech_pad_ms`` of sound before it. A pause begins at a frame below ``neg_threshold``; a frame of
``threshold`` or more ends the pause; at ``min_silence_duration_ms`` the pause ends the utterance,
of which ``speech_pad_ms`` is kept. Speech shorter than ``min_speech_duration_ms`` is dropped. At
``max_speech_duration_s`` the utterance is cut at the best pause of its last third, and the rest is
the beginning of the next.

Positions count samples from the first frame pushed. Every sample belongs to one utterance at most.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.capture.framing import FRAME_SAMPLES
from edge_asr.records import SAMPLE_RATE, EndReason

if TYPE_CHECKING:
    from edge_asr.capture.vad import Probabilities
    from edge_asr.config import VadSettings
    from edge_asr.records import Waveform

_HYSTERESIS = 0.15
"""How far ``neg_threshold`` lies below ``threshold`` when it is not set: Silero's default."""
_LOWEST_NEG_THRESHOLD = 0.01
_SMOOTHING_FRAMES = 5
"""A cut is judged by so many frames on either side of it, 320 ms in all: a long pause is better
than a short one, and a stop consonant is no pause."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """An utterance begins."""

    start_sample: int
    waveform: Waveform
    """Its sound so far, from ``start_sample`` on."""


@dataclass(frozen=True, slots=True)
class SpeechContinued:
    """The utterance's next sound."""

    waveform: Waveform


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """The utterance ended, perhaps before the end of the sound already given: cut off the rest."""

    start_sample: int
    end_sample: int
    """The first sample that is no longer part of it."""
    reason: EndReason

    @property
    def n_samples(self) -> int:
        """How many samples it has."""
        return self.end_sample - self.start_sample


@dataclass(frozen=True, slots=True)
class SpeechDropped:
    """What had started was too short to be speech: forget it."""

    start_sample: int


SegmentEvent = SpeechStarted | SpeechContinued | SpeechEnded | SpeechDropped


@dataclass(slots=True)
class _Speech:
    """The utterance that is being spoken."""

    start_sample: int
    """With its pad."""
    onset_sample: int
    """Where speech itself began."""
    is_rest: bool = False
    """It is the rest of one that was cut, so it is speech however short it is."""
    pause_sample: int | None = None
    """Where the present pause began."""


class Segmenter:
    """Cuts one stream into utterances."""

    def __init__(self, settings: VadSettings) -> None:
        self._threshold = settings.threshold
        self._neg_threshold = (
            max(settings.threshold - _HYSTERESIS, _LOWEST_NEG_THRESHOLD)
            if settings.neg_threshold is None
            else settings.neg_threshold
        )
        self._min_speech_samples = _samples(settings.min_speech_duration_ms)
        self._min_silence_samples = _samples(settings.min_silence_duration_ms)
        self._max_samples = int(settings.max_speech_duration_s * SAMPLE_RATE)
        # A pad longer than this would leave no room for speech before the cut.
        self._pad_samples = min(_samples(settings.speech_pad_ms), self._max_samples // 4)
        n_recent = max(self._pad_samples, self._max_samples // 3) // FRAME_SAMPLES
        self._recent: deque[tuple[Waveform, float]] = deque(maxlen=n_recent + _SMOOTHING_FRAMES + 2)
        """The last frames and their probabilities: pre-roll, and where a cut may be."""
        self._position = 0
        self._free_sample = 0
        """No utterance has the samples from here on."""
        self._speech: _Speech | None = None

    @property
    def is_in_speech(self) -> bool:
        """Whether an utterance has begun that has not ended."""
        return self._speech is not None

    def push(self, frames: Waveform, probabilities: Probabilities) -> list[SegmentEvent]:
        """Take in the next frames, and say what came of it.

        Args:
            frames: shape ``(n_frames * 512,)``.
            probabilities: speech probability of each frame, shape ``(n_frames,)``.

        Raises:
            ValueError: their lengths do not go together.
        """
        if len(frames) != len(probabilities) * FRAME_SAMPLES:
            raise ValueError(f"{len(probabilities)} probabilities for {len(frames)} samples")
        events: list[SegmentEvent] = []
        for index, probability in enumerate(probabilities.tolist()):
            frame = frames[index * FRAME_SAMPLES : (index + 1) * FRAME_SAMPLES]
            self._recent.append((frame, probability))
            self._position += FRAME_SAMPLES
            events += (
                self._wait_for_speech(probability)
                if self._speech is None
                else self._follow(self._speech, frame, probability)
            )
        return _joined(events)

    def finish(self, reason: EndReason) -> list[SegmentEvent]:
        """End what is being spoken, for ``reason``. What is pushed next does not continue it."""
        events = [] if self._speech is None else [self._end(self._speech, reason)]
        self._recent.clear()
        self._free_sample = self._position
        return events

    def _wait_for_speech(self, probability: float) -> list[SegmentEvent]:
        if not probability >= self._threshold:
            return []
        onset = self._position - FRAME_SAMPLES
        start = max(onset - self._pad_samples, self._free_sample)
        self._speech = _Speech(start, onset)
        return [SpeechStarted(start, self._sound_since(start))]

    def _follow(self, speech: _Speech, frame: Waveform, probability: float) -> list[SegmentEvent]:
        frame_sample = self._position - FRAME_SAMPLES
        if probability >= self._threshold:
            speech.pause_sample = None
        elif probability < self._neg_threshold:
            if speech.pause_sample is None:
                speech.pause_sample = frame_sample
            if self._position - speech.pause_sample >= self._min_silence_samples:
                return [SpeechContinued(frame), self._end(speech, EndReason.PAUSE)]
        if self._position - speech.start_sample > self._max_samples:
            return self._cut(speech)
        return [SpeechContinued(frame)]

    def _end(self, speech: _Speech, reason: EndReason) -> SegmentEvent:
        self._speech = None
        speech_end = self._position if speech.pause_sample is None else speech.pause_sample
        if not speech.is_rest and speech_end - speech.onset_sample < self._min_speech_samples:
            return SpeechDropped(speech.start_sample)
        end = min(
            speech_end + self._pad_samples,
            self._position,
            speech.start_sample + self._max_samples,
        )
        self._free_sample = end
        return SpeechEnded(speech.start_sample, end, reason)

    def _cut(self, speech: _Speech) -> list[SegmentEvent]:
        """End the longest utterance before the last frame, at its best pause."""
        cut = self._best_cut(speech)
        if speech.pause_sample is not None and speech.pause_sample <= cut:
            # Nothing was said since the pause began, so there is no rest.
            last_frame = self._position - FRAME_SAMPLES
            end = min(speech.pause_sample + self._pad_samples, last_frame)
            self._speech, self._free_sample = None, end
            return [SpeechEnded(speech.start_sample, end, EndReason.LONGEST)]
        self._speech = _Speech(cut, cut, is_rest=True, pause_sample=speech.pause_sample)
        self._free_sample = cut
        return [
            SpeechEnded(speech.start_sample, cut, EndReason.LONGEST),
            SpeechStarted(cut, self._sound_since(cut)),
        ]

    def _best_cut(self, speech: _Speech) -> int:
        """Return the quietest border between two frames in the last third of ``speech``."""
        probabilities = np.array([probability for _, probability in self._recent])
        sums = np.concatenate([[0.0], np.cumsum(probabilities)])
        n_frames = len(probabilities)
        earliest = speech.start_sample + self._max_samples - self._max_samples // 3
        n_candidates = (self._position - earliest) // FRAME_SAMPLES
        borders = np.arange(n_frames - n_candidates, n_frames)
        first = np.maximum(borders - _SMOOTHING_FRAMES, 0)
        last = np.minimum(borders + _SMOOTHING_FRAMES, n_frames)
        means = (sums[last] - sums[first]) / (last - first)
        latest_of_the_best = n_candidates - 1 - int(np.argmin(means[::-1]))
        return self._position - (n_candidates - latest_of_the_best) * FRAME_SAMPLES

    def _sound_since(self, sample: int) -> Waveform:
        n_samples = self._position - sample
        n_frames = -(-n_samples // FRAME_SAMPLES)
        frames = [frame for frame, _ in list(self._recent)[-n_frames:]]
        return np.concatenate(frames)[-n_samples:]


def _samples(milliseconds: int) -> int:
    return milliseconds * SAMPLE_RATE // 1000


def _joined(events: list[SegmentEvent]) -> list[SegmentEvent]:
    """Return ``events`` with sound that follows on sound in one piece."""
    joined: list[SegmentEvent] = []
    run: list[Waveform] = []
    for event in events:
        if isinstance(event, SpeechContinued):
            run.append(event.waveform)
            continue
        joined += _continued(run)
        joined.append(event)
        run = []
    return joined + _continued(run)


def _continued(run: list[Waveform]) -> list[SegmentEvent]:
    return [SpeechContinued(np.concatenate(run))] if run else []
