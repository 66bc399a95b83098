"""Rows that nobody has written: SQLite finds nothing wrong with them, and yet they were changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.errors import DatabaseDamagedError
from edge_asr.store.chain import entries, head
from edge_asr.store.rows import (
    GAP_COLUMNS,
    TRANSCRIPT_COLUMNS,
    UTTERANCE_COLUMNS,
    gap_from,
    transcript_from,
    utterance_from,
)
from edge_asr.verify_log import digest_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.store.database import Database

_READERS = (
    ("utterances", f"SELECT u.id, {UTTERANCE_COLUMNS} FROM utterances u", utterance_from),
    ("transcripts", f"SELECT t.id, {TRANSCRIPT_COLUMNS} FROM transcripts t", transcript_from),
    ("gaps", f"SELECT id, {GAP_COLUMNS} FROM gaps", gap_from),
)


def wrong_rows(database: Database) -> Iterator[tuple[str, int]]:
    """Yield table and id of the rows that are not what their entries say, or cannot be read.

    Raises:
        StoreError: the database cannot be read.
    """
    for entry in entries(database, head(database).seq):
        row, salt = entry["content"], entry["salt"]
        if row is not None and salt and digest_of(row, salt) != entry["digest"]:
            yield entry["table"], entry["id"]
    for table, sql, read in _READERS:  # an entry may be damaged, too, and say nothing
        for row_id, *columns in database.each(sql):
            try:
                read(tuple(columns))
            except DatabaseDamagedError:
                yield table, row_id
