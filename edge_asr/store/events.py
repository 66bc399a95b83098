"""Events: what happened to the log itself. Facts like the others, and chained like them."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from edge_asr.store.chain import append

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.store.database import Database


class EventKind(StrEnum):
    """What happened."""

    BEGUN = "begun"
    """The log was made, or its chain: what is older is vouched for from here on."""
    REPAIRED = "repaired"
    """A start finished what a kill or a power cut had left."""
    REDACTED = "redacted"
    """Somebody had the words and the sound of an utterance removed."""
    REMOVED = "removed"
    """Retention removed old sound or text."""
    FORGOTTEN = "forgotten"
    """Retention removed the first entries of the chain, whose content was gone already."""
    SALVAGED = "salvaged"
    """The database was damaged: this one has what could be read of it."""
    HELD = "held"
    """Utterances were put under hold: retention leaves them alone."""
    RELEASED = "released"
    MUTED = "muted"
    """Somebody muted a source: what it hears is dropped until it is unmuted."""
    UNMUTED = "unmuted"
    SIGNED = "signed"
    """The head before it was signed."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to the log."""

    event_id: int
    kind: EventKind
    detail: dict[str, Any]
    created_utc_ns: int


def record(
    database: Database, kind: EventKind, detail: dict[str, Any], *, at_least: int = 1
) -> int:
    """Add an event within the current transaction; return its id.

    Args:
        database: the log.
        kind: what happened.
        detail: what else there is to say.
        at_least: the number of its entry in the chain, at least.

    Raises:
        StoreError: the disk refuses, or there is no transaction.
    """
    rows = database.rows(
        "INSERT INTO events (kind, detail, created_utc_ns) VALUES (?, ?, ?) RETURNING id",
        (kind.value, json.dumps(detail, sort_keys=True), time.time_ns()),
    )
    event_id = int(rows[0][0])
    append(database, "events", event_id, at_least=at_least)
    return event_id


def events(database: Database, *kinds: EventKind) -> list[Event]:
    """Return the events of these kinds, oldest first."""
    rows = database.rows(
        "SELECT id, kind, detail, created_utc_ns FROM events"
        " WHERE kind IN (SELECT value FROM json_each(?)) ORDER BY id",
        (json.dumps(kinds),),
    )
    return [_event(row) for row in rows]


def last_event(database: Database, kind: EventKind) -> Event | None:
    """Return the last event of this kind."""
    row = database.row(
        "SELECT id, kind, detail, created_utc_ns FROM events WHERE kind = ?"
        " ORDER BY id DESC LIMIT 1",
        (kind.value,),
    )
    return _event(row) if row else None


def _event(row: Sequence[Any]) -> Event:
    event_id, kind, detail, created_utc_ns = row
    return Event(event_id, EventKind(kind), json.loads(detail), created_utc_ns)


def log_name(database: Database) -> str:
    """Return what tells this log from every other one: it was drawn when the log was made."""
    kinds = (EventKind.BEGUN.value,)
    row = database.row("SELECT detail FROM events WHERE kind = ? ORDER BY id LIMIT 1", kinds)
    return str(json.loads(row[0]).get("log", "")) if row else ""
