"""What waits to be transcribed, and what of it is next.

However much waits, little of it is looked at: each source's first is found by an index, from where
everything before it is known to be done.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.records import SAMPLE_RATE
from edge_asr.store.failures import MAX_KILLS, MAX_TRIES
from edge_asr.store.fairness import Turns
from edge_asr.store.rows import UTTERANCE_COLUMNS, utterance_from

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge_asr.records import Utterance
    from edge_asr.store.database import Database

_UNTRANSCRIBED = (
    "u.sound_removed IS NULL AND u.text_removed IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM transcripts t WHERE t.utterance_id = u.id)"
)
_QUARANTINED = f"(coalesce(f.tries, 0) >= {MAX_TRIES} OR coalesce(f.kills, 0) >= {MAX_KILLS})"
_WAITING = (
    "FROM utterances u LEFT JOIN failures f ON f.utterance_id = u.id"
    f" WHERE {_UNTRANSCRIBED} AND NOT {_QUARANTINED} AND u.id >= ?"
)
_FAILED = f"FROM failures f CROSS JOIN utterances u ON u.id = f.utterance_id WHERE {_UNTRANSCRIBED}"
"""CROSS: there are few failures, and SQLite is to begin with these."""
_NOT_SKIPPED = "u.id NOT IN (SELECT value FROM json_each(?))"

_FIRST = f"SELECT u.id {_WAITING} AND u.source = ? ORDER BY u.id LIMIT 1"
_NEXT = (
    f"SELECT {UTTERANCE_COLUMNS} {_WAITING} AND u.source = ? AND coalesce(f.kills, 0) = 0"
    f" AND {_NOT_SKIPPED} ORDER BY u.id LIMIT 1"
)
_LAST_RESORT = (
    f"SELECT {UTTERANCE_COLUMNS} {_FAILED} AND NOT {_QUARANTINED} AND f.kills > 0"
    f" AND {_NOT_SKIPPED} ORDER BY f.kills, u.id LIMIT 1"
)
# From one source to the one after it in the index; DISTINCT would read all of it.
_SOURCES = (
    "WITH RECURSIVE sources (source) AS (SELECT min(source) FROM utterances UNION ALL"
    " SELECT (SELECT min(u.source) FROM utterances u WHERE u.source > s.source)"
    " FROM sources s WHERE s.source IS NOT NULL)"
    " SELECT source FROM sources WHERE source IS NOT NULL"
)


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is not transcribed yet."""

    n: int
    duration_s: float
    n_quarantined: int
    """Not counted above: utterances that failed too often and are not tried again."""


class Waiting:
    """The queue of one store, as one process takes from it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._done_below: dict[str, int] = {}
        """Source -> id below which nothing of it waits. Ids grow, so these only ever rise."""
        self._turns = Turns()

    def next(self, skip: Collection[int]) -> Utterance | None:
        """Return whose turn it is; see :meth:`edge_asr.store.transcripts.Transcripts.pending`."""
        self._advance()
        skipped = json.dumps(list(skip))
        oldest = [
            utterance_from(row)
            for source, done_below in self._done_below.items()
            if (row := self._database.row(_NEXT, (done_below, source, skipped)))
        ]
        if oldest:
            return self._turns.next(oldest)
        row = self._database.row(_LAST_RESORT, (skipped,))
        return utterance_from(row) if row else None

    def backlog(self) -> Backlog:
        """Return how much waits."""
        self._advance()
        n, n_samples = self._database.rows(
            f"SELECT count(*), total(u.n_samples) {_WAITING}",
            (min(self._done_below.values(), default=0),),
        )[0]
        n_quarantined = self._database.rows(f"SELECT count(*) {_FAILED} AND {_QUARANTINED}")[0][0]
        return Backlog(n, n_samples / SAMPLE_RATE, n_quarantined)

    def _advance(self) -> None:
        """Raise ``_done_below`` as far as it goes, so that a long log is not read each time."""
        last = self._database.rows("SELECT coalesce(max(id), 0) FROM utterances")[0][0]
        for (source,) in self._database.rows(_SOURCES):
            first = self._database.row(_FIRST, (self._done_below.get(source, 0), source))
            # What was stored after the first query may be missing from the second.
            self._done_below[source] = min(first[0], last + 1) if first else last + 1
