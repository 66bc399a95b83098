"""Removing what was said, in an order that a kill cannot turn against it.

The event that says what goes and why, the rows and a note of the files are one transaction; the
files go after it. A kill in between leaves the note, which the next repair works off before it
looks for sound that has no row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.store.audio_files import is_audio_path
from edge_asr.store.files import file_errors

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edge_asr.store.database import Database


def note_sound(database: Database, utterance_ids: Sequence[int], event_id: int) -> None:
    """Mark the sound of utterances as removed, within the transaction of the event."""
    for utterance_id in utterance_ids:
        database.rows(
            "INSERT OR IGNORE INTO unlinking (audio_path)"
            " SELECT audio_path FROM utterances WHERE id = ? AND sound_removed IS NULL",
            (utterance_id,),
        )
        database.rows(
            "UPDATE utterances SET sound_removed = ? WHERE id = ? AND sound_removed IS NULL",
            (event_id, utterance_id),
        )


def versions_of(database: Database, utterance_ids: Sequence[int]) -> list[int]:
    """Return the row ids of all versions of the text of utterances, in order."""
    marks = ",".join("?" * len(utterance_ids))
    rows = database.rows(
        f"SELECT id FROM transcripts WHERE utterance_id IN ({marks}) ORDER BY id", utterance_ids
    )
    return [row[0] for row in rows]


def remove_words(
    database: Database, utterance_ids: Sequence[int], entries: Sequence[int], event_id: int
) -> None:
    """Remove the words of utterances, within the transaction of the event.

    Args:
        database: the log.
        utterance_ids: whose words.
        entries: of the chain, about these words: their salts go, too, so that no hash tells them.
        event_id: of the event that says why.
    """
    for utterance_id in utterance_ids:
        for table in ("transcripts", "failures", "pass_failures"):
            database.rows(f"DELETE FROM {table} WHERE utterance_id = ?", (utterance_id,))
        database.rows(
            "UPDATE utterances SET text_removed = ? WHERE id = ?", (event_id, utterance_id)
        )
    for seq in entries:
        database.rows("UPDATE chain SET salt = NULL WHERE seq = ?", (seq,))


def unlink_noted(database: Database, state_dir: Path) -> int:
    """Remove the files that were noted; return how many there were.

    Raises:
        StoreError: the disk refuses; the rest is done another time.
    """
    noted = [path for (path,) in database.rows("SELECT audio_path FROM unlinking")]
    for relative in noted:
        if is_audio_path(relative):  # a damaged note must remove nothing else
            with file_errors(state_dir / relative):
                (state_dir / relative).unlink(missing_ok=True)
        database.rows("DELETE FROM unlinking WHERE audio_path = ?", (relative,))
    return len(noted)


def is_noted(database: Database, audio_path: str) -> bool:
    """Say whether a file is about to go."""
    found = database.row("SELECT 1 FROM unlinking WHERE audio_path = ?", (audio_path,))
    return found is not None


def ranges(numbers: Iterable[int]) -> str:
    """Return numbers as an event has them: ``1-5,9``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
