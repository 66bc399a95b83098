"""What the loops tell of themselves: JSON lines for programs, words for people.

``edge-asr run`` reads the JSON lines of its children; anything else may too.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from edge_asr.alarms import AlarmChange
from edge_asr.cli.saying import say, tell
from edge_asr.formats import rfc3339
from edge_asr.listen import Heard
from edge_asr.partials import Partial
from edge_asr.recognize import Failed, Recognized
from edge_asr.records import SAMPLE_RATE, Gap, SourceStatus, Utterance
from edge_asr.second_pass import Added, PassFailed

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.backlog import Load
    from edge_asr.listen import ListenEvent
    from edge_asr.recognize import RecognizeEvent
    from edge_asr.store.feed import Feed

Event = dict[str, Any]
LEVEL_INTERVAL_S = 0.2
"""Levels are told five times a second at most."""


def printer(
    output: str, source: str = "", feed: Feed | None = None
) -> Callable[[ListenEvent | RecognizeEvent], None]:
    """Return what prints events: ``jsonl`` to stdout, ``text`` (all but levels) to stderr.

    Args:
        output: which of them.
        source: whose events they are, where they do not say.
        feed: is told of all of them, too.
    """
    told_level_at = -LEVEL_INTERVAL_S
    told_words = ""

    def show(event: ListenEvent | RecognizeEvent) -> None:
        nonlocal told_level_at, told_words
        is_text = output == "text"
        has_onlookers = feed is not None and feed.has_onlookers
        if isinstance(event, Heard):
            now = time.monotonic()
            if (is_text and not has_onlookers) or now - told_level_at < LEVEL_INTERVAL_S:
                return
            told_level_at = now
        fields = as_fields(event, source)
        line = json.dumps(fields, ensure_ascii=False)
        if feed is not None and has_onlookers:
            feed.tell(line.encode())
        if not is_text:
            tell(line)
        elif not isinstance(event, Heard | Partial):  # spoken words, and not the last word either
            words = in_words(fields)
            if words != told_words or not isinstance(event, SourceStatus):  # said each second
                say(words)
            told_words = words

    return show


def load_fields(load: Load) -> Event:
    """Return what waits to be transcribed as JSON fields."""
    return {
        "event": "backlog",
        "source": "",
        "n": load.n,
        "backlog_s": round(load.backlog_s, 1),
        "rtf": None if load.rtf is None else round(load.rtf, 3),
        "eta_s": None if load.eta_s is None else round(load.eta_s, 1),
    }


def as_fields(event: ListenEvent | RecognizeEvent, source: str) -> Event:
    """Return an event as JSON fields; ``event`` names its kind."""
    match event:
        case Heard(level, speaking):
            fields: Event = {
                "event": "level",
                "rms_dbfs": round(level.rms_dbfs, 1),
                "peak_dbfs": round(level.peak_dbfs, 1),
                "speaking": speaking,
            }
        case SourceStatus(state, detail):
            fields = {"event": "status", "state": state, "detail": detail}
        case Gap():
            fields = {
                "event": "gap",
                "kind": event.kind,
                "duration_s": round(event.duration_s, 3),
                "detail": event.detail,
            }
        case AlarmChange(code, active, detail):
            word = "raised" if active else "cleared"
            fields = {"event": "alarm", "code": code, "state": word, "detail": detail}
            source = event.source
        case Utterance():
            fields = {"event": "utterance", **_of_utterance(event), "end_reason": event.end_reason}
        case Partial(header, found):
            return {
                "event": "partial",
                "uid": header.uid,
                "start_utc": rfc3339(header.start.utc_ns),
                "duration_s": round(found.n_samples / SAMPLE_RATE, 3),
                "source": header.source,
                "text": found.text,
            }
        case Recognized(utterance, transcript) | Added(utterance, transcript):
            return {
                "event": "transcript",
                **_of_utterance(utterance),
                "source": utterance.source,
                "version": transcript.version,
                "text": transcript.recognition.text,
                "language": transcript.recognition.language,
                "decode_s": round(transcript.recognition.decode_s, 3),
                "flags": list(transcript.recognition.flags),
                "bundle": transcript.bundle,
                "is_shown": transcript.is_shown,
            }
        case Failed(utterance, error):
            return {
                "event": "failure",
                **_of_utterance(utterance),
                "source": utterance.source,
                "error": error,
            }
        case PassFailed(utterance, bundle, error):
            return {
                "event": "failure",
                **_of_utterance(utterance),
                "source": utterance.source,
                "error": f"second pass by {bundle}: {error}",
            }
    return {**fields, "source": source}


def _of_utterance(utterance: Utterance) -> Event:
    return {
        "utterance_id": utterance.utterance_id,
        "start_utc": rfc3339(utterance.start.utc_ns),
        "duration_s": round(utterance.duration_s, 3),
    }


def in_words(event: Event) -> str:
    """Return one line about an event, for a person. Spoken words are not in it."""
    return f"{event['source'] or 'edge-asr'}: {_what_happened(event)}"


def _what_happened(event: Event) -> str:
    match event["event"]:
        case "status":
            state = _STATE_WORDS.get(event["state"], event["state"])
            words = f"{state}: {event['detail']}"
        case "alarm":
            words = f"{event['code']} {event['state']}: {event['detail']}"
        case "gap":
            kind = str(event["kind"]).replace("_", " ")
            why = f"{kind}: {event['detail']}" if event["detail"] else kind
            words = f"{event['duration_s']:.1f} s without sound ({why})"
        case "utterance":
            words = f"utterance {event['utterance_id']}, {event['duration_s']:.1f} s"
        case "transcript":
            words = (
                f"utterance {event['utterance_id']}, version {event['version']} by "
                f"{event['bundle']} ({event['duration_s']:.1f} s of speech in "
                f"{event['decode_s']:.1f} s)"
            )
        case "failure":
            words = f"utterance {event['utterance_id']} failed: {event['error']}"
        case _:
            words = str(event["event"])
    return words


_STATE_WORDS = {"hearing": "listening", "no_device": "no microphone", "muted": "muted"}
