"""The description of the API, as OpenAPI 3.1. What it promises is tested against the server."""

from __future__ import annotations

from typing import Any

from edge_asr import __version__
from edge_asr.entries import EXPORTS
from edge_asr.serve.correcting import MAX_CHARACTERS
from edge_asr.serve.schemas import SCHEMAS, reference

Described = dict[str, Any]

_TIME = {"type": "string", "format": "date-time"}
_ID = {"type": "integer", "minimum": 1, "maximum": (1 << 62) - 1}


def parameter(name: str, schema: Described, meaning: str) -> Described:
    """Describe a parameter of a query."""
    return {"name": name, "in": "query", "schema": schema, "description": meaning}


_TEXT = {"type": "string", "maxLength": 1000}
_FLAG = {"type": "boolean", "default": False}
_FILTERS = [
    parameter("since", _TIME, "Spoken then or later; a time without a zone is the machine's."),
    parameter("until", _TIME, "Spoken before."),
    parameter("source", _TEXT, "Only of this microphone or file."),
    parameter("language", _TEXT, "Only in this language (en, de, ...)."),
    parameter(
        "max_confidence",
        {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "Only what the model was no surer of: the mean probability of a token.",
    ),
    parameter("from_sound", _FLAG, "As it was transcribed, without what was written since."),
    parameter("ids", {"type": "string", "pattern": r"^[0-9]{1,18}(,[0-9]{1,18})*$"}, "Only these."),
]
_SOURCE = parameter("source", _TEXT, "Only of this microphone.")
_QUERY = parameter("q", _TEXT, 'Words, "phrases", beginnings*; all must occur.')
_UTTERANCE = {
    "name": "utterance",
    "in": "path",
    "required": True,
    "description": "Its number, or its uid.",
    "schema": {"type": "string", "pattern": "^[0-9A-Za-z-]{1,64}$"},
}
_PROBLEMS = {
    "400": "What is asked makes no sense; the message says why.",
    "401": "A token is needed.",
    "403": "A page of another site asked.",
    "404": "There is none.",
    "408": "The body came too slowly.",
    "409": "Another version stands by now.",
    "410": "The sound was removed.",
    "413": "The body is too large.",
    "422": "The body is not what is wanted.",
    "503": "Busy, or the log cannot be read now.",
}


def operation(
    summary: str,
    schema: Described,
    *problems: str,
    parameters: tuple[Described, ...] | list[Described] = (),
    media: str = "application/json",
    status: str = "200",
    body: Described | None = None,
) -> Described:
    """Describe what is done at a path by a method.

    Args:
        summary: in words.
        schema: of the answer.
        problems: the statuses that an answer may have instead; 401, 403 and 503 always.
        parameters: of the path and the query.
        media: the answer's type.
        status: of the answer.
        body: what is sent.
    """
    described: Described = {
        "summary": summary,
        "responses": {
            status: {"description": "Done.", "content": {media: {"schema": schema}}},
            **{code: _problem(code) for code in sorted({*problems, "400", "401", "403", "503"})},
        },
    }
    if parameters:
        described["parameters"] = list(parameters)
    if body is not None:
        described["requestBody"] = {"required": True, "content": body}
    return described


def _problem(code: str) -> Described:
    content = {"application/json": {"schema": reference("Error")}}
    return {"description": _PROBLEMS[code], "content": content}


def _of_the_log() -> Described:
    page = {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}
    formats = {"type": "string", "enum": list(EXPORTS), "default": "jsonl"}
    paging = [
        parameter("limit", page, "How many at most."),
        parameter("before", _ID, "Only before this utterance: what the last page called so."),
    ]
    exported = [
        parameter("format", formats, "How it is written."),
        parameter("all_versions", _FLAG, "Every version, not just the one that stands."),
    ]
    summary = "Transcripts, newest first; or those that have certain words."
    return {
        "/v1/transcripts": {
            "get": operation(
                summary, reference("Transcripts"), parameters=[_QUERY, *_FILTERS, *paging]
            )
        },
        "/v1/export": {
            "get": operation(
                "The log, or what is selected of it, as a file, oldest first.",
                {"type": "string"},
                parameters=[*exported, _QUERY, *_FILTERS],
                media="application/x-ndjson",
            )
        },
    }


def _of_an_utterance() -> Described:
    correction = {"application/json": {"schema": _correction()}}
    return {
        "/v1/utterances/{utterance}": {
            "get": operation(
                "All about one utterance, with all its versions.",
                reference("Utterance"),
                "404",
                parameters=[_UTTERANCE],
            )
        },
        "/v1/utterances/{utterance}/audio": {
            "get": operation(
                "Its sound: FLAC, 16 kHz, mono. Ranges are served.",
                {"type": "string", "contentMediaType": "audio/flac"},
                "404",
                "410",
                parameters=[_UTTERANCE],
                media="audio/flac",
            )
        },
        "/v1/utterances/{utterance}/versions": {
            "post": operation(
                "A person's correction, as a new version that stands from now on.",
                reference("Version"),
                "404",
                "408",
                "409",
                "413",
                "422",
                parameters=[_UTTERANCE],
                status="201",
                body=correction,
            )
        },
    }


def _correction() -> Described:
    text = {"type": "string", "minLength": 1, "maxLength": MAX_CHARACTERS}
    version = {"type": ["integer", "null"], "minimum": 1, "maximum": (1 << 31) - 1}
    return {
        "type": "object",
        "required": ["text"],
        "additionalProperties": False,
        "properties": {
            "text": {**text, "description": "What was said, as a person hears it."},
            "parent_version": {
                **version,
                "description": "The version that the person saw; null: there was none.",
            },
        },
    }


def _of_the_appliance() -> Described:
    day = parameter("date", {"type": "string", "format": "date"}, "Of the machine; else today.")
    stretch = [
        parameter("all", _FLAG, "Also those that were cleared."),
        parameter("since", _TIME, "Active then or later."),
        parameter("until", _TIME, "Raised by then."),
    ]
    resume = parameter("last_event_id", _TEXT, "As the header Last-Event-ID: go on from there.")
    events = "Events as they happen: text/event-stream."
    every_second = "What every second of a day was, for each source."
    return {
        "/v1/ledger": {
            "get": operation(every_second, reference("Ledger"), "404", parameters=[day, _SOURCE])
        },
        "/v1/alarms": {
            "get": operation(
                "Alarms that are active, or all of a stretch of time.",
                reference("Alarms"),
                parameters=[*stretch, _SOURCE],
            )
        },
        "/v1/events": {
            "get": operation(
                events, {"type": "string"}, parameters=[resume], media="text/event-stream"
            )
        },
        "/v1/state": {"get": operation("How the appliance is.", reference("State"))},
        "/v1/settings": {"get": operation("Every setting and its value.", reference("Settings"))},
        "/v1/openapi.json": {"get": operation("This description.", {"type": "object"})},
        "/metrics": {
            "get": operation(
                "How the appliance is and was, for Prometheus.",
                {"type": "string"},
                media="text/plain",
            )
        },
        "/health": {"get": operation("Whether the log can be read.", reference("Health"))},
    }


def document() -> Described:
    """Return the description of the whole API."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "edge-asr",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "What an offline speech recorder heard, and how it is.",
        },
        "security": [{}, {"token": []}],
        "paths": {**_of_the_log(), **_of_an_utterance(), **_of_the_appliance()},
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
