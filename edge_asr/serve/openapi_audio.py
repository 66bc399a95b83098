"""The part of the API's description that is OpenAI's: files in, text out, and the models for it."""

from __future__ import annotations

from edge_asr.records import Task
from edge_asr.serve.describing import Described, operation
from edge_asr.serve.schemas import reference
from edge_asr.serve.transcription_form import FIELDS, FORMATS, GRANULARITIES

_LANGUAGE = {"type": "string", "pattern": "^[a-z]{2,3}$"}
_FIELDS: dict[str, Described] = {
    "model": {
        "type": "string",
        "default": "whisper-1",
        "description": "One of /v1/models; whisper-1 is the one that recognizes here.",
    },
    "language": {**_LANGUAGE, "description": "What is spoken (en, de, ...); else it is detected."},
    "prompt": {
        "type": "string",
        "description": (
            "A list of terms is taken as keywords where the model takes those; prose as the text "
            "of what was said before, by models that take that. A prompt that is not used is named "
            "by the header X-Edge-ASR-Ignored."
        ),
    },
    "response_format": {"type": "string", "enum": list(FORMATS), "default": "json"},
    "temperature": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "description": "Changes nothing: the most likely text is written.",
    },
    "keywords": {
        "type": "string",
        "description": "Names and terms to listen for, with commas between; not every model can.",
    },
    "numerals": {
        "type": "boolean",
        "description": (
            "Write numbers as digits; else as configured (recognition.numerals). Status 400 where "
            "the server lacks the extra for it; the message says how to install that."
        ),
    },
    "stream": {
        "type": "boolean",
        "default": False,
        "description": "Tell each part of the text as it is recognized; for json and text.",
    },
    "timestamp_granularities": {
        "type": "array",
        "items": {"type": "string", "enum": list(GRANULARITIES)},
        "description": "For verbose_json: what is given times. Or timestamp_granularities[].",
    },
    "chunking_strategy": {"type": "string", "enum": ["auto"]},
    "target_language": {**_LANGUAGE, "description": "Into which language; else English."},
}
_FILE = {
    "type": "string",
    "contentMediaType": "application/octet-stream",
    "description": "WAV, FLAC, Ogg (Vorbis, Opus), MP3, AIFF, and what else libsndfile reads.",
}
_PROBLEMS = ("404", "408", "413", "500")


def paths() -> Described:
    """Describe the paths."""
    name = {"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}
    return {
        "/v1/audio/transcriptions": {
            "post": _operation("What is said in a sound file.", Task.TRANSCRIBE)
        },
        "/v1/audio/translations": {
            "post": _operation("What is said in a sound file, in English.", Task.TRANSLATE)
        },
        "/v1/models": {
            "get": operation("Models for sound files, the default first.", reference("Models"))
        },
        "/v1/models/{model}": {
            "get": operation("One model.", reference("Model"), "404", parameters=[name])
        },
    }


def _operation(summary: str, task: Task) -> Described:
    fields = {name: _FIELDS[name] for name in FIELDS[task]}
    form = {
        "type": "object",
        "required": ["file"],
        "additionalProperties": False,
        "properties": {"file": _FILE, **fields},
    }
    return operation(
        summary,
        {"anyOf": [reference("Transcription"), reference("VerboseTranscription")]},
        *_PROBLEMS,
        also=("text/plain", "application/x-subrip", "text/vtt", "text/event-stream"),
        body={"multipart/form-data": {"schema": form}},
    )
