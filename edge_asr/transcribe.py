"""Sound files -> text, without the store."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.capture.hearing import Hearing
from edge_asr.capture.segmenter import (
    SpeechContinued,
    SpeechDropped,
    SpeechEnded,
    SpeechStarted,
)
from edge_asr.capture.wavfile import WavFile
from edge_asr.records import SAMPLE_RATE, AudioChunk, EndReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from edge_asr.audio import Waveform
    from edge_asr.capture.segmenter import SegmentEvent
    from edge_asr.capture.vad import SileroVad
    from edge_asr.config import VadSettings
    from edge_asr.recognizers import Recognizer
    from edge_asr.records import Recognition, Request


@dataclass(frozen=True, slots=True)
class Spoken:
    """One utterance of a file."""

    start_s: float
    end_s: float
    recognition: Recognition


@dataclass(frozen=True, slots=True)
class Stretch:
    """Speech between silences, in memory."""

    start_sample: int
    waveform: Waveform

    @property
    def start_s(self) -> float:
        """Where it begins in its file."""
        return self.start_sample / SAMPLE_RATE

    @property
    def end_s(self) -> float:
        """Where it ends in its file."""
        return (self.start_sample + len(self.waveform)) / SAMPLE_RATE


class FileTranscriber:
    """Transcribes files: cuts each into utterances as the microphone's sound is cut."""

    def __init__(self, vad: SileroVad, settings: VadSettings, recognizer: Recognizer) -> None:
        self._vad = vad
        self._settings = settings
        self._recognizer = recognizer

    def transcribe(
        self,
        path: Path,
        request: Request,
        *,
        progress: Callable[[float], None],
    ) -> tuple[list[Spoken], float]:
        """Transcribe one file.

        Args:
            path: any file that libsndfile reads.
            request: what to do with its speech.
            progress: is told how many seconds of the file have been heard so far.

        Returns:
            Its utterances in order, and its duration in seconds.

        Raises:
            AudioFileError: it cannot be read.
            RequestError: the bundle cannot do what is asked.
        """
        spoken: list[Spoken] = []
        heard_s = 0.0
        for item in self._stretches(path):
            if isinstance(item, float):
                heard_s = item
                progress(heard_s)
            else:
                recognition = self._recognizer.transcribe(item.waveform, request)
                spoken.append(Spoken(item.start_s, min(item.end_s, heard_s), recognition))
        return spoken, heard_s

    def _stretches(self, path: Path) -> Iterator[Stretch | float]:
        """Yield each stretch of speech, and in between how many seconds were read so far."""
        hearing, collector = Hearing(self._vad, self._settings), _Collector()
        with WavFile(path, threading.Event(), realtime=False) as source:
            for chunk in source:
                if isinstance(chunk, AudioChunk):
                    events = hearing.hear(chunk.waveform)
                    yield hearing.position / SAMPLE_RATE
                    yield from collector.collect(events)
        yield from collector.collect(hearing.finish(EndReason.END_OF_SOURCE))


class _Collector:
    """Gathers the segmenter's events into whole stretches."""

    def __init__(self) -> None:
        self._start_sample = 0
        self._parts: list[Waveform] = []

    def collect(self, events: Iterable[SegmentEvent]) -> Iterator[Stretch]:
        for event in events:
            match event:
                case SpeechStarted():
                    self._start_sample = event.start_sample
                    self._parts = [event.waveform]
                case SpeechContinued():
                    self._parts.append(event.waveform)
                case SpeechEnded():
                    n_samples = event.end_sample - self._start_sample
                    yield Stretch(self._start_sample, np.concatenate(self._parts)[:n_samples])
                case SpeechDropped():
                    self._parts = []
