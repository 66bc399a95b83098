"""What flows through the appliance: AudioChunk -> Utterance -> Transcript, and Gap.

Every record is frozen: a stage makes new records and never edits one. Units live in the names
(``duration_s``, ``start_utc_ns``).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from edge_asr.context import Context  # noqa: TC001 (records are converted by their types)

if TYPE_CHECKING:
    import numpy as np

SAMPLE_RATE = 16_000
"""Hertz. The one sample rate inside the appliance."""
Waveform: TypeAlias = "np.ndarray[tuple[int], np.dtype[np.float32]]"
"""float32, shape ``(n_samples,)``, 16 kHz mono, [-1, 1)."""


class ClockQuality(StrEnum):
    """How far the wall clock can be trusted."""

    SYNCHRONISED = "synchronised"
    """Disciplined by a time server or a receiver."""
    RTC = "rtc"
    """Set from a battery-backed clock, not disciplined since."""
    UNSYNCHRONISED = "unsynchronised"
    """Neither: the date may be wrong by years."""


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment, by every clock there is."""

    utc_ns: int
    """Wall clock, nanoseconds since 1970-01-01 UTC. It may jump."""
    monotonic_ns: int
    """``CLOCK_MONOTONIC``, nanoseconds. Only comparable within one boot."""
    boot_id: str
    """The kernel's id of this boot."""
    clock_quality: ClockQuality

    def shifted(self, offset_ns: int) -> Instant:
        """Return the moment ``offset_ns`` later (earlier when negative)."""
        return Instant(
            self.utc_ns + offset_ns,
            self.monotonic_ns + offset_ns,
            self.boot_id,
            self.clock_quality,
        )


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """What a source delivers: contiguous sound, in the one inner form."""

    waveform: Waveform
    """float32, shape ``(n_samples,)``, 16 kHz mono, [-1, 1)."""
    start: Instant
    """When the first sample was captured."""
    n_invalid: int = 0
    """How many samples of the device's or file's own were no numbers, and became silence."""

    @property
    def duration_s(self) -> float:
        """Seconds of sound in this chunk."""
        return len(self.waveform) / SAMPLE_RATE


class GapKind(StrEnum):
    """Why a stretch of time has no sound."""

    OVERFLOW = "overflow"
    """The driver dropped sound because nobody read it in time."""
    NO_DEVICE = "no_device"
    """The microphone was absent, or gave no frames."""
    MUTED = "muted"
    NOT_RUNNING = "not_running"


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch of time without sound, and why. Loss is a stored fact, never just a log line."""

    kind: GapKind
    start: Instant
    duration_s: float
    detail: str = ""


class SourceState(StrEnum):
    """What a source is doing."""

    HEARING = "hearing"
    NO_DEVICE = "no_device"
    MUTED = "muted"


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source's word about itself: at every change, and each second while it has no sound."""

    state: SourceState
    detail: str


class EndReason(StrEnum):
    """Why an utterance ended."""

    PAUSE = "pause"
    """The speaker paused for ``min_silence_duration_ms``."""
    LONGEST = "longest"
    """It reached ``max_speech_duration_s`` and was cut at its best pause."""
    END_OF_SOURCE = "end_of_source"
    """The file ended, or listening was stopped."""
    INTERRUPTED = "interrupted"
    """The microphone was lost, or sound was dropped, while it was being spoken."""
    RECOVERED = "recovered"
    """The process or the power died; it was recovered from the open file at the next start."""


class RejectedBecause(StrEnum):
    """Why sound that might have been speech is no utterance."""

    SHORT = "short"
    """It was shorter than ``min_speech_duration_ms``."""
    UNSURE = "unsure"
    """Its speech probability never reached ``threshold``."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """Speech between silences, closed and stored."""

    utterance_id: int
    """Row id in the store."""
    uid: str
    """Name that stays unique across stores and sorts by time: ``20261124T093015123-1f3a9c``."""
    source: str
    start: Instant
    n_samples: int
    end_reason: EndReason
    audio_path: str
    """The FLAC file, relative to the state directory."""
    audio_sha256: str

    @property
    def duration_s(self) -> float:
        """Seconds of sound."""
        return self.n_samples / SAMPLE_RATE


class Task(StrEnum):
    """What to do with speech, or with its text."""

    TRANSCRIBE = "transcribe"
    TRANSLATE = "translate"
    POLISH = "polish"
    """Rewrite a transcript as a prompt says, which only text models do."""


SPEECH_TASKS = (Task.TRANSCRIBE, Task.TRANSLATE)
"""What can be asked of a recognizer."""


class Drafts(StrEnum):
    """What may be done with the draft of a family that makes one before its decoder runs."""

    EXACT = "exact"
    """It saves calls of the decoder, and changes nothing in the text."""
    FAST = "fast"
    """It may become the text where the model is sure enough of it."""
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Drafting:
    """How far a draft is trusted. Only a permission: families without drafts need none.

    The thresholds are those of Saon et al., 2026 (arXiv 2603.11243), as accurate as no draft.
    """

    mode: Drafts = Drafts.EXACT
    ctc_entropy_threshold: float = 0.7
    """Nats. In fast mode, a draft of which no frame is less certain is the text."""
    draft_probability_threshold: float = 0.2
    """In fast mode, a draft whose tokens the decoder all finds at least so likely is the text."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of a recognizer, which does it or says that it cannot."""

    task: Task = Task.TRANSCRIBE
    language: str | None = None
    """Spoken language (ISO 639-1), or None to detect it."""
    allowed_languages: tuple[str, ...] = ()
    """Languages that detection may answer; empty: all that the bundle knows. Not used when
    ``language`` is given."""
    target_language: str | None = None
    """For translation; None: English."""
    keywords: tuple[str, ...] = ()
    punctuated: bool = False
    """Ask for punctuation and capital letters, where a bundle writes them only on request."""
    drafting: Drafting = Drafting()
    beam: int = 5
    """Texts that Whisper follows at once where it doubts the likeliest; 1: no others."""
    context: Context | None = None
    """What was said just before. A hint, for families that can take it."""

    @property
    def sha256(self) -> str:
        """SHA-256 of what it asks beyond the defaults: fields to come change nothing of it."""
        given = {
            field.name: value
            for field in fields(self)
            if (value := getattr(self, field.name)) != field.default
        }
        text = json.dumps(given, sort_keys=True, default=asdict)
        return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it was said, counted from the start of its waveform, to the millisecond."""

    text: str
    start_s: float
    end_s: float
    probability: float | None = None
    """Geometric mean of its tokens' probabilities; None where a family cannot say."""

    def shifted(self, offset_s: float) -> Word:
        """Return the word ``offset_s`` later."""
        start_s, end_s = round(self.start_s + offset_s, 3), round(self.end_s + offset_s, 3)
        return replace(self, start_s=start_s, end_s=end_s)


@dataclass(frozen=True, slots=True)
class Recognition:
    """What a recognizer makes of one waveform."""

    text: str
    language: str
    """Spoken (ISO 639-1), as requested or detected; ``und`` where a family does not say which."""
    language_probability: float | None
    """Of the detected language among the allowed ones; None when it was requested."""
    task: Task
    decode_s: float
    """Wall-clock seconds the recognizer took."""
    avg_logprob: float | None
    """Mean natural log-probability of the decoded tokens; None where a family cannot say."""
    flags: tuple[str, ...] = ()
    """Reasons to doubt the text, e.g. ``repetition``. Doubt is marked, nothing is deleted."""
    words: tuple[Word, ...] = ()
    """Of a transcription, where a family can tell when each was said."""
    ctc_max_entropy: float | None = None
    """Nats: of the CTC head's labels in the 20 ms where it was least certain; None: no head."""


@dataclass(frozen=True, slots=True)
class PartialText:
    """What an utterance that is still being spoken says so far. It is shown, and never stored."""

    text: str
    n_samples: int
    """Of the sound that was heard for it."""


HUMAN = "human"
"""Stands in the place of a bundle's name where a person wrote the text."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """One version of an utterance's text. Versions are added, never overwritten."""

    utterance_id: int
    version: int
    """1 is the first; each later pass adds one."""
    recognition: Recognition
    bundle: str
    """Name of the bundle that made it, or :data:`HUMAN`."""
    bundle_sha256: str
    """SHA-256 of that bundle's manifest: the model's identity. Empty for a person's."""
    created_utc_ns: int
    parent_version: int | None = None
    """The version whose text it was made from; None: it was made from the sound."""
    request_sha256: str | None = None
    """Of what was asked of the bundle (a request, a prompt): with the bundle's, it tells one pass
    from another. None in logs older than this column."""
    is_shown: bool = True
    """False for a second pass that went wrong: it is kept, and the version before it goes on
    standing for the utterance."""
