"""Text with times -> txt, json, jsonl, srt, vtt, tsv. Pure: records in, strings out.

Where it is known when each word was said, subtitles are cut by words (:mod:`edge_asr.cues`), else
by segments.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from edge_asr.cues import Cue, cues

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge_asr.records import Word

_ARROW = re.compile("-{2,}>")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NEW_LINE = "\n"
_MS_PER_HOUR, _MS_PER_MINUTE, _MS_PER_S = 3_600_000, 60_000, 1_000


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of a file, its text, and how sure the model was; None where it cannot say."""

    start_s: float
    end_s: float
    text: str
    language: str | None = None
    avg_logprob: float | None = None
    """Mean natural log-probability of the decoded tokens."""
    ctc_max_entropy: float | None = None
    """Of the CTC head where it was least certain, in nats."""
    flags: tuple[str, ...] = ()
    """Reasons to doubt the text."""
    words: tuple[Word, ...] = ()
    """Their times are counted from the start of the file."""
    decode_s: float = 0.0
    """Wall-clock seconds of recognizing it."""
    heard: str | None = None
    """The text as the model gave it, where it was changed afterwards (numerals, corrections); how
    sure the model was, is about this."""
    speaker: str | None = None
    """Who spoke, as a label within this file (``S1``); None: nobody asked."""

    @property
    def in_words(self) -> list[Segment]:
        """A segment for each word; itself where it has no word times."""
        return [
            replace(self, start_s=word.start_s, end_s=word.end_s, text=word.text, words=(word,))
            for word in self.words
        ] or [self]


@dataclass(frozen=True, slots=True)
class FileTranscript:
    """What was said in one file."""

    file: str
    """Its name, as it was given."""
    language: str | None
    """Spoken language (ISO 639-1); None if nothing was said."""
    duration_s: float
    decode_s: float
    segments: tuple[Segment, ...]

    @property
    def text(self) -> str:
        """All of the text."""
        return " ".join(text for segment in self.segments if (text := one_line(segment.text)))

    @property
    def in_words(self) -> FileTranscript:
        """The same with a segment for each word; what has no word times stays as it is."""
        parts = [part for segment in self.segments for part in segment.in_words]
        return replace(self, segments=tuple(parts))

    @property
    def rtf(self) -> float:
        """Real-time factor: decode time / duration."""
        return real_time_factor(self.decode_s, self.duration_s)


def real_time_factor(decode_s: float, duration_s: float) -> float:
    """Return decode time / audio time; 0 for no audio."""
    return decode_s / duration_s if duration_s else 0.0


def rfc3339(utc_ns: int) -> str:
    """Return an instant as RFC 3339 in UTC, to the millisecond: ``2026-11-24T09:30:15.123Z``."""
    instant = _EPOCH + timedelta(milliseconds=utc_ns // 1_000_000)
    return instant.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def one_line(text: str) -> str:
    """Return text without line breaks, tabs and control characters."""
    spaced = "".join(character if character.isprintable() else " " for character in text)
    return " ".join(spaced.split())


def as_txt(result: FileTranscript) -> str:
    """Return the text, one segment a line, behind its speaker where that is known."""
    return "".join(
        f"{_spoken_by(segment)}{one_line(segment.text)}\n" for segment in _spoken(result.segments)
    )


def as_timed_txt(result: FileTranscript) -> str:
    """Return the text, one segment a line, behind its start and end in seconds."""
    return "".join(
        f"{segment.start_s:9.2f} {segment.end_s:9.2f}  "
        f"{_spoken_by(segment)}{one_line(segment.text)}\n"
        for segment in _spoken(result.segments)
    )


def as_json(result: FileTranscript) -> str:
    """Return one JSON object, for people too."""
    return json.dumps(_fields(result), ensure_ascii=False, indent=2) + "\n"


def as_jsonl(result: FileTranscript) -> str:
    """Return one JSON object on one line."""
    return json.dumps(_fields(result), ensure_ascii=False) + "\n"


def as_srt(segments: Iterable[Segment]) -> str:
    """Return SubRip subtitles. Segments without text are left out."""
    shown = [
        # SubRip has no escapes: what would be read as an arrow is written as another one.
        f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n"
        f"{_ARROW.sub('->', _spoken_by(segment) + _NEW_LINE.join(cue.lines))}\n"
        for number, (segment, cue) in enumerate(_cues(segments), start=1)
    ]
    return "\n".join(shown)


def as_vtt(segments: Iterable[Segment]) -> str:
    """Return WebVTT subtitles. Segments without text are left out."""
    shown = [
        f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}\n"
        f"{_vtt_voice(segment)}{_vtt_escaped(_NEW_LINE.join(cue.lines))}\n"
        for segment, cue in _cues(segments)
    ]
    return "\n".join(["WEBVTT\n", *shown])


def as_tsv(segments: Iterable[Segment]) -> str:
    """Return tab-separated values as Whisper does: ``start`` and ``end`` in milliseconds."""
    rows = [
        f"{_ms(segment.start_s)}\t{_ms(segment.end_s)}\t{one_line(segment.text)}\n"
        for segment in _spoken(segments)
    ]
    return "".join(["start\tend\ttext\n", *rows])


FORMATS: dict[str, Callable[[FileTranscript], str]] = {
    "txt": as_txt,
    "json": as_json,
    "jsonl": as_jsonl,
    "srt": lambda result: as_srt(result.segments),
    "vtt": lambda result: as_vtt(result.segments),
    "tsv": lambda result: as_tsv(result.segments),
}
"""Name -> what writes one file's result in it, with a line break at the end."""


def _fields(result: FileTranscript) -> dict[str, Any]:
    return {
        "file": result.file,
        "text": result.text,
        "language": result.language,
        "duration_s": round(result.duration_s, 3),
        "decode_s": round(result.decode_s, 3),
        "rtf": round(result.rtf, 4),
        "segments": [
            {
                "start_s": round(segment.start_s, 3),
                "end_s": round(segment.end_s, 3),
                "text": segment.text,
                "heard": segment.heard,
                "speaker": segment.speaker,
                "language": segment.language,
                "avg_logprob": segment.avg_logprob,
                "ctc_max_entropy": segment.ctc_max_entropy,
                "flags": list(segment.flags),
                "words": words_as_json(segment.words),
            }
            for segment in result.segments
        ],
    }


def words_as_json(words: Iterable[Word]) -> list[dict[str, Any]]:
    """Return words with their times as JSON has them."""
    return [
        {
            "text": word.text,
            "start_s": word.start_s,
            "end_s": word.end_s,
            "probability": word.probability,
        }
        for word in words
    ]


def _cues(segments: Iterable[Segment]) -> list[tuple[Segment, Cue]]:
    found = []
    for segment in _spoken(segments):
        text = one_line(segment.text)
        if segment.words:
            found += [(segment, cue) for cue in cues(text, segment.words, segment.end_s)]
        else:
            found.append((segment, Cue(segment.start_s, segment.end_s, (text,))))
    return found


def _spoken_by(segment: Segment) -> str:
    return f"{segment.speaker}: " if segment.speaker else ""


def _vtt_voice(segment: Segment) -> str:
    """Return WebVTT's voice tag, which players show or style as they like."""
    return f"<v {segment.speaker}>" if segment.speaker else ""


def _spoken(segments: Iterable[Segment]) -> list[Segment]:
    return [segment for segment in segments if one_line(segment.text)]


def _ms(seconds: float) -> int:
    """Return milliseconds, a half rounded up."""
    return int(seconds * _MS_PER_S + 0.5)


def _clock(seconds: float, point: str) -> str:
    hours, rest = divmod(_ms(seconds), _MS_PER_HOUR)
    minutes, rest = divmod(rest, _MS_PER_MINUTE)
    whole, ms = divmod(rest, _MS_PER_S)
    return f"{hours:02d}:{minutes:02d}:{whole:02d}{point}{ms:03d}"


def _vtt_escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
