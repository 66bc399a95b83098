"""Holds: utterances that neither retention nor redaction may touch, until they are released."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.store.events import EventKind, record
from edge_asr.store.removal import ranges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.store.database import Database


def hold(database: Database, utterance_ids: Sequence[int], reason: str) -> list[int]:
    """Put utterances under hold; return those that were not before. The log says so.

    Raises:
        StoreError: the disk refuses, or there is no such utterance.
    """
    with database.transaction():
        new = [number for number in utterance_ids if not is_held(database, number)]
        for utterance_id in new:
            database.rows("INSERT INTO held (utterance_id) VALUES (?)", (utterance_id,))
        if new:
            record(database, EventKind.HELD, {"utterances": ranges(new), "reason": reason})
    return new


def release(database: Database, utterance_ids: Sequence[int], reason: str) -> list[int]:
    """Let go of held utterances; return those that were held. The log says so.

    Raises:
        StoreError: the disk refuses.
    """
    with database.transaction():
        freed = [number for number in utterance_ids if is_held(database, number)]
        for utterance_id in freed:
            database.rows("DELETE FROM held WHERE utterance_id = ?", (utterance_id,))
        if freed:
            record(database, EventKind.RELEASED, {"utterances": ranges(freed), "reason": reason})
    return freed


def is_held(database: Database, utterance_id: int) -> bool:
    """Say whether an utterance is under hold."""
    row = database.row("SELECT 1 FROM held WHERE utterance_id = ?", (utterance_id,))
    return row is not None


def spoken_between(
    database: Database, since_utc_ns: int, until_utc_ns: int, source: str | None
) -> list[int]:
    """Return the ids of the utterances that began in a stretch of time."""
    rows = database.rows(
        "SELECT id FROM utterances WHERE start_utc_ns >= ? AND start_utc_ns < ?"
        " AND coalesce(source = ?, 1) ORDER BY id",
        (since_utc_ns, until_utc_ns, source),
    )
    return [row[0] for row in rows]
