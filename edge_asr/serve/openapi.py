"""The description of the API, as OpenAPI 3.1. What it promises is tested against the server."""

from __future__ import annotations

import re

from edge_asr import __version__
from edge_asr.entries import EXPORTS
from edge_asr.serve import openapi_audio
from edge_asr.serve.correcting import MAX_CHARACTERS
from edge_asr.serve.describing import Described, operation, parameter
from edge_asr.serve.schemas import SCHEMAS, reference

_NO_WORD = re.compile("[^a-z]+")
_TIME = {"type": "string", "format": "date-time"}
_ID = {"type": "integer", "minimum": 1, "maximum": 10**18 - 1}
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
                also=("text/csv", "text/plain", "application/x-subrip"),
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
    paths = {
        **_of_the_log(),
        **_of_an_utterance(),
        **_of_the_appliance(),
        **openapi_audio.paths(),
    }
    for path, operations in paths.items():
        words = _NO_WORD.sub("_", path.removeprefix("/v1")).strip("_")
        for method, described in operations.items():
            described["operationId"] = f"{method}_{words}"
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "edge-asr",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            "description": "What an offline speech recorder heard, and how it is.",
        },
        "security": [{}, {"token": []}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }
