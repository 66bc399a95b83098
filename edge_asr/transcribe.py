"""Sound files -> text, without the store."""

from __future__ import annotations

import math
import threading
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.audio import open_sound_file
from edge_asr.capture.hearing import Hearing
from edge_asr.capture.segmenter import (
    SpeechContinued,
    SpeechDropped,
    SpeechEnded,
    SpeechStarted,
)
from edge_asr.capture.wavfile import LONG_CHUNK_S, WavFile
from edge_asr.conversation import Conversation
from edge_asr.errors import AudioFileError, RequestError
from edge_asr.formats import FileTranscript, Segment
from edge_asr.records import SAMPLE_RATE, AudioChunk, EndReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from edge_asr.capture.segmenter import SegmentEvent
    from edge_asr.capture.vad import SileroVad
    from edge_asr.config import VadSettings
    from edge_asr.recognizers import Recognizer
    from edge_asr.records import PartialText, Recognition, Request, SourceStatus, Waveform


PARTIAL_SAMPLES = SAMPLE_RATE
"""How much an utterance grows from one partial text to the next."""


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


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one file."""

    path: Path
    transcript: FileTranscript | None
    error: AudioFileError | None = None
    """Why there is none."""


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
        progress: Callable[[float, float], None],
        tell_partial: Callable[[float, str], None] | None = None,
        tell: Callable[[Segment], None] = lambda _segment: None,
        longest_s: float = math.inf,
    ) -> FileTranscript:
        """Transcribe one file.

        Args:
            path: any file that libsndfile reads.
            request: what to do with its speech. Its context is what comes before the file.
            progress: is told how many seconds are done, and of how many, as far as the file says.
            tell_partial: is told what each utterance said so far, second by second, and at which
                second of the file; None: nobody wants to know, and it is not computed.
            tell: is told each segment as soon as it is recognized.
            longest_s: how much sound the file may hold, whatever its header says.

        Raises:
            AudioFileError: it cannot be read, or holds more.
            RequestError: the bundle cannot do what is asked.
        """
        hearing = Hearing(self._vad, self._settings)
        segments: list[Segment] = []
        conversation = Conversation(request.context)
        with WavFile(path, threading.Event(), realtime=False, chunk_s=LONG_CHUNK_S) as source:
            if source.duration_s > longest_s:
                raise _too_long(path, longest_s)
            for stretch in stretches(_up_to(source, path, longest_s), hearing):
                if tell_partial is not None:
                    self._read_along(stretch, request, tell_partial)
                context = conversation.before(stretch.start_s)
                recognition = self._recognizer.transcribe(
                    stretch.waveform, replace(request, context=context)
                )
                conversation.add(stretch.start_s, stretch.end_s, recognition, stretch.waveform)
                heard_s = hearing.n_heard / SAMPLE_RATE
                segments.append(segment_of(stretch.start_s, stretch.end_s, recognition, heard_s))
                tell(segments[-1])
                progress(stretch.end_s, source.duration_s)
        return transcript_of(path, segments, hearing.n_heard / SAMPLE_RATE)

    def _read_along(
        self, stretch: Stretch, request: Request, tell: Callable[[float, str], None]
    ) -> None:
        """Recognize the beginnings of an utterance, as if it were still being spoken."""
        found: PartialText | None = None
        for end in range(PARTIAL_SAMPLES, len(stretch.waveform), PARTIAL_SAMPLES):
            previous = found
            found = self._recognizer.partial(stretch.waveform[:end], request, previous)
            if found is None:
                raise RequestError(
                    f"bundle {self._recognizer.bundle.name} has no text for this request before an "
                    "utterance has ended; leave out --partials",
                )
            if found.text and (previous is None or found.text != previous.text):
                tell(stretch.start_s + end / SAMPLE_RATE, found.text)


def total_duration_s(paths: Iterable[Path]) -> float:
    """Return how long files are together, as their headers claim. What cannot be read has none."""
    total_s = 0.0
    for path in paths:
        try:
            with open_sound_file(path, block_s=1.0) as file:
                total_s += file.duration_s
        except AudioFileError:
            continue
    return total_s


def segment_of(
    start_s: float, end_s: float, recognition: Recognition, duration_s: float
) -> Segment:
    """Return what was said in a stretch of a file that is so long."""
    return Segment(
        start_s,
        min(end_s, duration_s),  # the last frame is padded: the file ends before it
        recognition.text,
        recognition.language,
        recognition.avg_logprob,
        recognition.ctc_max_entropy,
        recognition.flags,
        tuple(word.shifted(start_s) for word in recognition.words),
        recognition.decode_s,
    )


def transcript_of(path: Path, segments: Sequence[Segment], duration_s: float) -> FileTranscript:
    """Return all that was said in a file that is so long."""
    return FileTranscript(
        file=str(path),
        language=longest_language(
            (segment.language or "und", segment.end_s - segment.start_s) for segment in segments
        ),
        duration_s=duration_s,
        decode_s=sum(segment.decode_s for segment in segments),
        segments=tuple(segments),
    )


def longest_language(spoken: Iterable[tuple[str, float]]) -> str | None:
    """Return the language that most of the speech is in, given languages and their seconds."""
    seconds: Counter[str] = Counter()
    for language, duration_s in spoken:
        seconds[language] += duration_s  # type: ignore[assignment]
    return max(seconds, key=lambda language: seconds[language]) if seconds else None


def _up_to(source: WavFile, path: Path, longest_s: float) -> Iterator[AudioChunk | SourceStatus]:
    """Yield what a source yields; a header that said too little is found out here."""
    heard_s = 0.0
    for item in source:
        if isinstance(item, AudioChunk):
            heard_s += len(item.waveform) / SAMPLE_RATE
        if heard_s > longest_s:
            raise _too_long(path, longest_s)
        yield item


def _too_long(path: Path, longest_s: float) -> AudioFileError:
    return AudioFileError(f"{path}: is longer than {longest_s:.0f} s; send it in parts")


def stretches(source: Iterable[AudioChunk | SourceStatus], hearing: Hearing) -> Iterator[Stretch]:
    """Yield each stretch of speech in a file, in order."""
    collector = Collector()
    for item in source:
        if isinstance(item, AudioChunk):
            yield from collector.collect(hearing.hear(item.waveform))
    yield from collector.collect(hearing.finish(EndReason.END_OF_SOURCE))


class Collector:
    """Gathers the segmenter's events into whole stretches."""

    def __init__(self) -> None:
        self._parts: list[Waveform] = []

    def collect(self, events: Iterable[SegmentEvent]) -> Iterator[Stretch]:
        """Yield each stretch that has ended."""
        for event in events:
            match event:
                case SpeechStarted():
                    self._parts = [event.waveform]
                case SpeechContinued():
                    self._parts.append(event.waveform)
                case SpeechEnded():
                    sound = np.concatenate(self._parts)[: event.n_samples]
                    yield Stretch(event.start_sample, sound)
                case SpeechDropped():
                    self._parts = []
