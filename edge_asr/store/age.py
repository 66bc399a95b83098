"""How old an utterance is at least, by clocks that cannot jump.

The store counts its own age while the appliance runs, on the monotonic clock. The time between two
boots counts only where the wall clock was synchronised at both ends. Each day of that age is marked
with the utterance that was stored last: so a jump of the clock makes nothing older.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.records import ClockQuality, Instant

if TYPE_CHECKING:
    from edge_asr.store.database import Database

_DAY_NS = 86_400 * 1_000_000_000


class Age:
    """The age of one store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def count(self, moment: Instant) -> None:
        """Let the store's own clock go on, and mark each new day with the last utterance.

        Raises:
            StoreError: the disk refuses.
        """
        with self._database.transaction():
            row = self._database.row(
                "SELECT age_ns, utc_ns, monotonic_ns, boot_id, clock_quality FROM age_clock"
            )
            age_ns = 0 if row is None else row[0] + elapsed_ns(_instant(row[1:]), moment)
            self._database.rows(
                "INSERT OR REPLACE INTO age_clock"
                " (id, age_ns, utc_ns, monotonic_ns, boot_id, clock_quality)"
                " VALUES (1, ?, ?, ?, ?, ?)",
                (age_ns, moment.utc_ns, moment.monotonic_ns, moment.boot_id, moment.clock_quality),
            )
            self._database.rows(
                "INSERT OR IGNORE INTO age_marks (day, last_utterance_id)"
                " SELECT ?, coalesce(max(id), 0) FROM utterances",
                (age_ns // _DAY_NS,),
            )

    def last_older_than(self, days: int) -> int:
        """Return the id of the last utterance that is certainly older than so many days; 0: none.

        Raises:
            StoreError: the database cannot be read.
        """
        row = self._database.row(
            "SELECT last_utterance_id FROM age_marks WHERE day <="
            " (SELECT age_ns / ? FROM age_clock) - ? ORDER BY day DESC LIMIT 1",
            (_DAY_NS, days + 1),  # a mark may be a day late
        )
        return int(row[0]) if row else 0


def elapsed_ns(earlier: Instant, later: Instant) -> int:
    """Return how much time passed at least."""
    if earlier.boot_id == later.boot_id:
        return max(0, later.monotonic_ns - earlier.monotonic_ns)
    synchronised = {earlier.clock_quality, later.clock_quality} == {ClockQuality.SYNCHRONISED}
    by_wall_ns = later.utc_ns - earlier.utc_ns if synchronised else 0
    return max(by_wall_ns, later.monotonic_ns, 0)


def _instant(columns: tuple[int, int, str, str]) -> Instant:
    utc_ns, monotonic_ns, boot_id, quality = columns
    return Instant(utc_ns, monotonic_ns, boot_id, ClockQuality(quality))
