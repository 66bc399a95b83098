"""What is evaluated: a recognizer behind the ears it has in service, or on whole files."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_asr.audio import open_sound_file
from edge_asr.capture.resampling import Resampler, mono
from edge_asr.records import Word  # noqa: TC001 (msgspec reads it)

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.evaluation.clips import Clip
    from edge_asr.formats import Segment
    from edge_asr.recognizers import Recognizer
    from edge_asr.records import Request, Waveform
    from edge_asr.transcribe import FileTranscriber


@dataclass(frozen=True, slots=True)
class Heard:
    """What a system made of one clip."""

    text: str
    language: str | None
    """As requested or detected; None where nothing was heard, or nobody says."""
    decode_s: float
    """Wall-clock seconds of recognition."""
    latencies_s: tuple[float, ...] = ()
    """For each utterance: from its end to its text, when nothing else waits."""
    avg_logprob: float | None = None
    """Mean natural log-probability of the tokens; None where a system cannot say."""
    flags: tuple[str, ...] = ()
    """Reasons that the system itself gives to doubt the text."""
    words: tuple[Word, ...] = ()
    """Where a system says when each was said, and how probable it is."""


class System(Protocol):
    """Anything that makes text of clips."""

    @property
    def name(self) -> str:
        """What the report calls it; unique in it."""

    @property
    def languages(self) -> frozenset[str]:
        """What it transcribes (ISO 639-1)."""

    def hear(self, clip: Clip) -> Heard:
        """Make text of a clip.

        Raises:
            AudioFileError: its file cannot be read.
        """


@dataclass(frozen=True, slots=True)
class Asked:
    """What is asked of a recognizer for each clip."""

    request: Request
    detects: bool = False
    """Leave the language to the recognizer, also where the clip says it."""

    def of(self, clip: Clip) -> Request:
        """Return the request for one clip."""
        if self.detects or not clip.is_speech:
            return self.request
        return replace(self.request, language=clip.language, allowed_languages=())


@dataclass(frozen=True, slots=True)
class AsHeard:
    """A recognizer that gets what the segmenter cuts out, as from a microphone."""

    name: str
    languages: frozenset[str]
    transcriber: FileTranscriber
    asked: Asked

    def hear(self, clip: Clip) -> Heard:
        """Cut a clip into utterances and recognize each."""
        found = self.transcriber.transcribe(
            clip.path, self.asked.of(clip), progress=lambda _done_s, _total_s: None
        )
        flags = dict.fromkeys(flag for segment in found.segments for flag in segment.flags)
        return Heard(
            text=found.text,
            language=found.language,
            decode_s=found.decode_s,
            latencies_s=tuple(segment.decode_s for segment in found.segments),
            avg_logprob=_joint_logprob(found.segments),
            flags=tuple(flags),
            words=tuple(word for segment in found.segments for word in segment.words),
        )


@dataclass(frozen=True, slots=True)
class Whole:
    """A recognizer on whole files: what the segmenter costs is the difference."""

    name: str
    languages: frozenset[str]
    recognizer: Recognizer
    asked: Asked

    def hear(self, clip: Clip) -> Heard:
        """Recognize a clip from its first sample to its last."""
        found = self.recognizer.transcribe(read_waveform(clip.path), self.asked.of(clip))
        return Heard(
            text=found.text,
            language=found.language,
            decode_s=found.decode_s,
            latencies_s=(found.decode_s,),
            avg_logprob=found.avg_logprob if found.text.strip() else None,
            flags=found.flags,
            words=found.words,
        )


def read_waveform(path: Path) -> Waveform:
    """Return the sound of any file that can be read, in the one inner form.

    Raises:
        AudioFileError: it cannot be read.
    """
    with open_sound_file(path, block_s=60.0) as file:
        resampler = Resampler(file.sample_rate)
        pieces = [resampler.push(mono(frames)) for frames in file.blocks]
    return np.concatenate([*pieces, resampler.flush()])


def _joint_logprob(segments: tuple[Segment, ...]) -> float | None:
    """Return the mean of the segments' log-probabilities, each weighing as many words as it has."""
    known = [
        (segment.avg_logprob, len(segment.text.split()))
        for segment in segments
        if segment.avg_logprob is not None and segment.text.strip()
    ]
    n_words = sum(n for _, n in known)
    return sum(logprob * n for logprob, n in known) / n_words if n_words else None
