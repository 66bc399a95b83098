"""What was said in a file, in the forms that OpenAI's API has."""

from __future__ import annotations

import json
import math
import zlib
from typing import TYPE_CHECKING, Any

from edge_asr.formats import as_srt, as_vtt, one_line
from edge_asr.serve.language_names import name_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge_asr.formats import FileTranscript, Segment
    from edge_asr.records import Task

_MEL_FRAMES_PER_S = 100
"""Whisper's, in which ``seek`` is counted."""
MEDIA = {
    "json": "application/json",
    "verbose_json": "application/json",
    "text": "text/plain",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
}
"""Format -> the type of its answer."""


def written(
    result: FileTranscript, response_format: str, task: Task, granularities: Collection[str]
) -> str:
    """Return the body of an answer."""
    match response_format:
        case "text":
            return f"{result.text}\n"
        case "srt":
            return as_srt(result.segments)
        case "vtt":
            return as_vtt(result.segments)
        case "verbose_json":
            return _json(_verbose(result, task, granularities))
        case _:
            return _json({"text": result.text, "usage": _usage(result)})


def delta(segment: Segment, *, is_first: bool) -> str:
    """Return the event that tells of a segment; "" where it has no text."""
    text = one_line(segment.text)
    if not text:
        return ""
    return event(type="transcript.text.delta", delta=text if is_first else f" {text}")


def done(result: FileTranscript) -> str:
    """Return the event that ends a stream."""
    return event(type="transcript.text.done", text=result.text, usage=_usage(result))


def event(**fields: Any) -> str:  # noqa: ANN401 (anything that JSON has)
    """Return an event of a stream."""
    return f"data: {_json(fields)}\n\n"


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, ensure_ascii=False)


def _usage(result: FileTranscript) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(result.duration_s)}


def _verbose(result: FileTranscript, task: Task, granularities: Collection[str]) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "task": task.value,
        "language": name_of(result.language),
        "duration": round(result.duration_s, 3),
        "text": result.text,
        "usage": _usage(result),
    }
    if "segment" in granularities:
        shown = [segment for segment in result.segments if one_line(segment.text)]
        fields["segments"] = [_segment(i, segment) for i, segment in enumerate(shown)]
    if "word" in granularities:
        fields["words"] = [
            {"word": word.text, "start": word.start_s, "end": word.end_s}
            for segment in result.segments
            for word in segment.words
        ]
    return fields


def _segment(number: int, segment: Segment) -> dict[str, Any]:
    """Return a segment as Whisper describes one.

    ``no_speech_prob`` is 0, for silence was cut away before; ``tokens`` are nobody's business.
    """
    return {
        "id": number,
        "seek": round(segment.start_s * _MEL_FRAMES_PER_S),
        "start": round(segment.start_s, 3),
        "end": round(segment.end_s, 3),
        "text": one_line(segment.text),
        "tokens": [],
        "temperature": 0.0,
        "avg_logprob": segment.avg_logprob,
        "compression_ratio": round(_compression_ratio(segment.text), 3),
        "no_speech_prob": 0.0,
    }


def _compression_ratio(text: str) -> float:
    """Return how far zlib shrinks a text: Whisper takes more than 2.4 for a repetition."""
    raw = text.encode()
    return len(raw) / len(zlib.compress(raw))
