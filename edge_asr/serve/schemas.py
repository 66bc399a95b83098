"""What the answers look like: the schemas of the API's description."""

from __future__ import annotations

from typing import Any

from edge_asr.alarms import AlarmCode
from edge_asr.store.spans import SpanKind

Described = dict[str, Any]

_TEXT: Described = {"type": "string"}
_NUMBER: Described = {"type": "number"}
_WHOLE: Described = {"type": "integer"}
_FLAG: Described = {"type": "boolean"}
_TIME: Described = {"type": "string", "format": "date-time"}
_TEXT_OR_NULL: Described = {"type": ["string", "null"]}
_NUMBER_OR_NULL: Described = {"type": ["number", "null"]}
_WHOLE_OR_NULL: Described = {"type": ["integer", "null"]}
_TIME_OR_NULL: Described = {"type": ["string", "null"], "format": "date-time"}


def reference(name: str) -> Described:
    """Refer to a schema."""
    return {"$ref": f"#/components/schemas/{name}"}


def _object(**properties: Described) -> Described:
    """Describe an object that always has all of these."""
    return {"type": "object", "required": list(properties), "properties": properties}


def _list(items: Described) -> Described:
    return {"type": "array", "items": items}


_RECOGNITION: dict[str, Described] = {
    "text": _TEXT,
    "language": {**_TEXT, "description": "ISO 639-1; und where it is not known."},
    "language_probability": _NUMBER_OR_NULL,
    "task": {"enum": ["transcribe", "translate", "polish"]},
    "bundle": {**_TEXT, "description": "The model; human where a person wrote it."},
    "bundle_sha256": _TEXT,
    "request_sha256": _TEXT_OR_NULL,
    "parent_version": _WHOLE_OR_NULL,
    "is_shown": _FLAG,
    "decode_s": _NUMBER,
    "avg_logprob": _NUMBER_OR_NULL,
    "ctc_max_entropy": _NUMBER_OR_NULL,
    "flags": _list(_TEXT),
    "words": _list(
        _object(text=_TEXT, start_s=_NUMBER, end_s=_NUMBER, probability=_NUMBER_OR_NULL)
    ),
}
_SPAN = _object(
    kind={"enum": [kind.value for kind in SpanKind]},
    start_utc=_TIME,
    end_utc=_TIME,
    duration_s=_NUMBER,
    detail=_TEXT,
    certain=_FLAG,
)
_ALARM = _object(
    alarm_id=_WHOLE,
    code={"enum": [code.value for code in AlarmCode]},
    source=_TEXT,
    raised_utc=_TIME,
    detail=_TEXT,
    cleared_utc=_TIME_OR_NULL,
    cleared_detail=_TEXT,
)
_TRANSCRIPT = _object(
    utterance_id=_WHOLE,
    version=_WHOLE,
    uid=_TEXT,
    source=_TEXT,
    start_utc=_TIME,
    start_utc_corrected=_TIME_OR_NULL,
    end_utc=_TIME,
    duration_s=_NUMBER,
    rtf=_NUMBER,
    end_reason=_TEXT,
    clock_quality=_TEXT,
    audio_path=_TEXT,
    audio_sha256=_TEXT,
    **_RECOGNITION,
)
_VERSION = _object(
    version=_WHOLE, created_utc=_TIME, provenance={"enum": ["model", "human"]}, **_RECOGNITION
)
_UTTERANCE = _object(
    utterance_id=_WHOLE,
    uid=_TEXT,
    source=_TEXT,
    start_utc=_TIME,
    start_utc_corrected=_TIME_OR_NULL,
    end_utc=_TIME,
    duration_s=_NUMBER,
    end_reason=_TEXT,
    clock_quality=_TEXT,
    audio_sha256=_TEXT,
    has_sound=_FLAG,
    standing_version=_WHOLE_OR_NULL,
    versions=_list(reference("Version")),
    redacted=_TEXT_OR_NULL,
    failure=_TEXT_OR_NULL,
    gaps=_list(_object(kind=_TEXT, start_utc=_TIME, duration_s=_NUMBER, detail=_TEXT)),
)
_ACCOUNT = _object(
    source=_TEXT,
    date={"type": "string", "format": "date"},
    start_utc=_TIME,
    end_utc=_TIME,
    duration_s=_NUMBER,
    totals_s={"type": "object", "additionalProperties": _NUMBER},
    outside_s=_NUMBER,
    gaps=_list(_SPAN),
    spans=_list(_SPAN),
)
_STATE = _object(
    version=_TEXT,
    time_utc=_TIME,
    microphones=_list(
        _object(
            source=_TEXT,
            state={"enum": ["hearing", "no_device", "muted", "not_listening"]},
            words=_TEXT,
            alarms=_list(_TEXT),
        )
    ),
    recognizer=_object(
        state={"enum": ["transcribing", "not_running"]},
        words=_TEXT,
        n_waiting=_WHOLE,
        backlog_s=_NUMBER,
        n_quarantined=_WHOLE,
        rtf=_NUMBER_OR_NULL,
        eta_s=_NUMBER_OR_NULL,
    ),
    temperature_c=_NUMBER_OR_NULL,
    warm_from_c=_NUMBER_OR_NULL,
    disk=_object(free_bytes=_WHOLE, total_bytes=_WHOLE, is_low=_FLAG, words=_TEXT),
    alarms=_list(reference("Alarm")),
)
_SETTING = _object(name=_TEXT, value={}, description=_TEXT)
_MODEL = _object(
    id=_TEXT,
    object={"enum": ["model"]},
    created={**_WHOLE, "description": "When it was built, seconds since 1970 UTC."},
    owned_by=_TEXT,
    family=_TEXT,
    tasks=_list(_TEXT),
    languages=_list(_TEXT),
    translation_targets=_list(_TEXT),
    keywords=_FLAG,
    timestamps={**_FLAG, "description": "Whether it says when each word was said."},
)
_USAGE = _object(type={"enum": ["duration"]}, seconds=_WHOLE)
_VERBOSE: Described = {
    "type": "object",
    "required": ["task", "language", "duration", "text", "usage"],
    "properties": {
        "task": {"enum": ["transcribe", "translate"]},
        "language": {**_TEXT, "description": "Its English name, in small letters."},
        "duration": {**_NUMBER, "description": "Seconds."},
        "text": _TEXT,
        "usage": _USAGE,
        "words": _list(_object(word=_TEXT, start=_NUMBER, end=_NUMBER)),
        "segments": _list(
            _object(
                id=_WHOLE,
                seek=_WHOLE,
                start=_NUMBER,
                end=_NUMBER,
                text=_TEXT,
                tokens=_list(_WHOLE),
                temperature=_NUMBER,
                avg_logprob=_NUMBER_OR_NULL,
                compression_ratio=_NUMBER,
                no_speech_prob=_NUMBER,
            )
        ),
    },
}

SCHEMAS: dict[str, Described] = {
    "Error": _object(
        error=_object(message=_TEXT, type=_TEXT, param=_TEXT_OR_NULL, code=_TEXT_OR_NULL)
    ),
    "Model": _MODEL,
    "Models": _object(object={"enum": ["list"]}, data=_list(reference("Model"))),
    "Transcription": _object(text=_TEXT, usage=_USAGE),
    "VerboseTranscription": _VERBOSE,
    "Health": _object(status={"enum": ["ok"]}),
    "Alarm": _ALARM,
    "Alarms": _object(alarms=_list(reference("Alarm"))),
    "Transcript": _TRANSCRIPT,
    "Transcripts": _object(transcripts=_list(reference("Transcript")), before=_WHOLE_OR_NULL),
    "Version": _VERSION,
    "Utterance": _UTTERANCE,
    "Ledger": _object(
        date={"type": "string", "format": "date"},
        start_utc=_TIME,
        end_utc=_TIME,
        sources=_list(_ACCOUNT),
    ),
    "State": _STATE,
    "Settings": _object(
        file=_TEXT_OR_NULL,
        sections=_list(_object(section=_TEXT, description=_TEXT, settings=_list(_SETTING))),
    ),
}
