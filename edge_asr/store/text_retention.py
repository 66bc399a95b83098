"""Retention of text: words that are older than they may be go, and their sound with them.

It is the redaction of many utterances at once, with one tombstone. What was not transcribed stays,
and so does what is held.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.store.chain import entries_of
from edge_asr.store.events import EventKind, record
from edge_asr.store.removal import note_sound, ranges, remove_words, unlink_noted, versions_of

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.store.database import Database

_REMOVABLE = (
    "u.text_removed IS NULL"
    " AND EXISTS (SELECT 1 FROM transcripts t WHERE t.utterance_id = u.id)"
    " AND NOT EXISTS (SELECT 1 FROM held h WHERE h.utterance_id = u.id)"
)


class TextRetention:
    """Removes the words of old utterances, a batch at a time."""

    def __init__(self, database: Database, state_dir: Path, n_batch: int) -> None:
        self._database = database
        self._state_dir = state_dir
        self._n_batch = n_batch
        self._clean_to = 0
        """Up to here nothing was left to remove: looked at again when more is old enough."""

    def oldest(self, last_id: int) -> list[int]:
        """Return the utterances up to ``last_id`` whose words may go: a batch at most.

        Raises:
            StoreError: the database cannot be read.
        """
        if last_id == self._clean_to:
            return []
        rows = self._database.rows(
            f"SELECT u.id FROM utterances u WHERE u.id <= ? AND {_REMOVABLE}"
            f" ORDER BY u.id LIMIT {self._n_batch}",
            (last_id,),
        )
        if not rows:
            self._clean_to = last_id
        return [row[0] for row in rows]

    def remove(self, utterance_ids: list[int], why: str) -> list[int]:
        """Remove the words and the sound of utterances; return those of which that was done.

        Raises:
            StoreError: the disk refuses.
        """
        # The long look through the chain is done before others have to wait.
        versions = versions_of(self._database, utterance_ids)
        entries = entries_of(self._database, "transcripts", versions)
        with self._database.transaction():
            fit = [i for i in utterance_ids if self._is_removable(i)]
            if versions_of(self._database, fit) != versions:
                return []  # somebody held one, or added a version: the next step sees that
            detail = {"entries": ranges(entries), "sound": ranges(fit), "text": ranges(fit)}
            event_id = record(self._database, EventKind.REMOVED, {**detail, "why": why})
            remove_words(self._database, fit, entries, event_id)
            note_sound(self._database, fit, event_id)
        unlink_noted(self._database, self._state_dir)
        self._database.empty_write_ahead_log()
        return fit

    def _is_removable(self, utterance_id: int) -> bool:
        row = self._database.row(
            f"SELECT 1 FROM utterances u WHERE u.id = ? AND {_REMOVABLE}", (utterance_id,)
        )
        return row is not None
