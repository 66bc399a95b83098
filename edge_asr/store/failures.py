"""What could not be transcribed: how often it was tried, and why it failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_asr.store.attempts import LeftMark
    from edge_asr.store.database import Database

MAX_TRIES = 3
"""An utterance that raised or crashed so often is quarantined: it is not tried again."""
MAX_KILLS = 20
"""So is one whose recognizer so often vanished without a word. Who kills processes (an operator, a
test, the out-of-memory killer) mostly does not mean the utterance, hence the patience; that the
others go on is ensured by taking such utterances last."""
KILLED = "the recognizer was killed, or ran out of memory, while it transcribed this"
MAX_ERROR_CHARACTERS = 1_000


@dataclass(frozen=True, slots=True)
class Failure:
    """An utterance that could not be transcribed."""

    utterance_id: int
    tries: int
    """It raised an error, or crashed the recognizer."""
    kills: int
    """The recognizer vanished without a word."""
    error: str
    """The last one."""
    last_utc_ns: int

    @property
    def quarantined(self) -> bool:
        """Whether it is not tried again."""
        return self.tries >= MAX_TRIES or self.kills >= MAX_KILLS


class Failures:
    """The bookkeeping of failed tries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, utterance_id: int, error: str, utc_ns: int) -> None:
        """Count a failed try.

        Raises:
            StoreError: the disk refuses.
        """
        self._count(utterance_id, error, utc_ns, tries=1, kills=0)

    def record_left(self, left: LeftMark, utc_ns: int) -> None:
        """Count the try that a dead process left, if it still matters.

        Raises:
            StoreError: the disk refuses.
        """
        open_question = self._database.row(
            "SELECT 1 FROM utterances u WHERE u.id = ?"
            " AND NOT EXISTS (SELECT 1 FROM transcripts t WHERE t.utterance_id = u.id)",
            (left.utterance_id,),
        )
        if open_question is None:
            return
        if left.crash is None:
            self._count(left.utterance_id, KILLED, utc_ns, tries=0, kills=1)
        else:
            self._count(left.utterance_id, left.crash, utc_ns, tries=1, kills=0)

    def all(self) -> list[Failure]:
        """Return those that have no transcript, oldest first."""
        rows = self._database.rows(
            "SELECT f.utterance_id, f.tries, f.kills, f.error, f.last_utc_ns FROM failures f"
            " WHERE NOT EXISTS"
            " (SELECT 1 FROM transcripts t WHERE t.utterance_id = f.utterance_id)"
            " ORDER BY f.utterance_id",
        )
        return [Failure(*row) for row in rows]

    def of(self, utterance_id: int) -> Failure | None:
        """Return what failed with one utterance, also if it was transcribed since."""
        row = self._database.row(
            "SELECT utterance_id, tries, kills, error, last_utc_ns FROM failures"
            " WHERE utterance_id = ?",
            (utterance_id,),
        )
        return Failure(*row) if row else None

    def _count(self, utterance_id: int, error: str, utc_ns: int, *, tries: int, kills: int) -> None:
        with self._database.transaction():
            self._database.rows(
                "INSERT INTO failures (utterance_id, tries, kills, error, last_utc_ns)"
                " VALUES (?, ?, ?, ?, ?) ON CONFLICT (utterance_id) DO UPDATE SET"
                " tries = tries + excluded.tries, kills = kills + excluded.kills,"
                " error = excluded.error, last_utc_ns = excluded.last_utc_ns",
                (utterance_id, tries, kills, error[:MAX_ERROR_CHARACTERS], utc_ns),
            )
