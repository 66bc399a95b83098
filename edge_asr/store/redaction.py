"""Redaction: the words and the sound of an utterance go for good, and the log says so.

What stays is that it was spoken: its row (when, how long, from where) and the hashes of all its
versions. An event is the tombstone. SQLite overwrites what it deletes (``secure_delete``, in the
full-text index too), and the write-ahead log is emptied. What the flash of a card keeps below the
file system is beyond any program's reach: docs/integrity.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.store.chain import entries_of
from edge_asr.store.events import EventKind, record
from edge_asr.store.holds import is_held
from edge_asr.store.removal import note_sound, ranges, remove_words, unlink_noted, versions_of

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.records import Utterance
    from edge_asr.store.database import Database


def redact(database: Database, state_dir: Path, utterance: Utterance, reason: str) -> None:
    """Remove the text of all versions of an utterance, and its sound. It cannot be undone.

    Raises:
        StoreError: it is held, was redacted before, or the disk refuses.
    """
    utterance_id = utterance.utterance_id
    # The long look through the chain is done before others have to wait.
    before = versions_of(database, [utterance_id])
    entries = entries_of(database, "transcripts", before)
    with database.transaction():
        _check(database, utterance_id)
        added = [i for i in versions_of(database, [utterance_id]) if i not in before]
        entries += entries_of(database, "transcripts", added)
        detail = {"utterance": utterance_id, "entries": ranges(entries), "reason": reason}
        event_id = record(database, EventKind.REDACTED, {**detail, "sound": str(utterance_id)})
        remove_words(database, [utterance_id], entries, event_id)
        note_sound(database, [utterance_id], event_id)
    unlink_noted(database, state_dir)
    database.empty_write_ahead_log()


def _check(database: Database, utterance_id: int) -> None:
    if is_held(database, utterance_id):
        raise StoreError(
            f"utterance {utterance_id} is held; edge-asr log release {utterance_id} lets go of it"
        )
    row = database.row("SELECT text_removed FROM utterances WHERE id = ?", (utterance_id,))
    if row is None or row[0] is not None:
        raise StoreError(f"the words of utterance {utterance_id} are gone already")
