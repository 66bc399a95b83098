"""When a recorded moment really was, as far as that is known by now.

What was recorded is never changed. Where a later anchor of the same boot shows that the clock was
wrong, readers get the corrected time beside the recorded one, and search by it: a record that was
made an hour ago is within the last two hours, whatever its clock said.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.records import ClockQuality
from edge_asr.store.anchors import JUMP_NS, Anchor, Wake, wake_at, wakes_of

if TYPE_CHECKING:
    from edge_asr.records import Instant
    from edge_asr.store.database import Database

_FROM_THE_BOOT_ON = -1


def real_time_sql(utc: str, monotonic: str, boot_id: str) -> str:
    """Return an SQL expression: a moment, given by three columns, in corrected wall-clock time.

    :meth:`Dating.prepare` must have been called on the same connection.
    """
    return (
        f"coalesce((SELECT d.offset_ns + {monotonic} FROM temp.dating d WHERE d.boot_id = {boot_id}"
        f" AND d.start_monotonic_ns <= {monotonic} ORDER BY d.start_monotonic_ns DESC LIMIT 1),"
        f" {utc})"
    )


class Dating:
    """Corrects moments. It remembers what it read of each boot: make a new one for each read."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wakes: dict[str, list[Wake]] = {}

    def corrected_utc_ns(self, moment: Instant) -> int | None:
        """Return when a recorded moment really was, where that is known better by now.

        Returns:
            Nanoseconds since 1970 UTC; None when nothing better than the record is known.
        """
        if moment.boot_id not in self._wakes:
            self._wakes[moment.boot_id] = wakes_of(self._anchors("= ?", moment.boot_id))
        wake = wake_at(self._wakes[moment.boot_id], moment.monotonic_ns)
        if wake is None:
            return None
        corrected = moment.monotonic_ns + wake.offset_ns
        return corrected if abs(corrected - moment.utc_ns) > JUMP_NS else None

    def prepare(self) -> None:
        """Prepare the connection for :func:`real_time_sql`, with what is known now.

        Only boots with more than one anchor are looked at: of the others nothing is known better.
        """
        boots: dict[str, list[Anchor]] = {}
        several = "IN (SELECT boot_id FROM clock_anchors GROUP BY boot_id HAVING count(*) > ?)"
        for anchor in self._anchors(several, 1):
            boots.setdefault(anchor.boot_id, []).append(anchor)
        self._database.script(
            "CREATE TEMP TABLE IF NOT EXISTS dating (boot_id TEXT, start_monotonic_ns INTEGER,"
            " offset_ns INTEGER, PRIMARY KEY (boot_id, start_monotonic_ns)) WITHOUT ROWID;"
            "DELETE FROM temp.dating"
        )
        for boot_id, anchors in boots.items():
            for index, wake in enumerate(wakes_of(anchors)):
                start_ns = wake.start_monotonic_ns if index else _FROM_THE_BOOT_ON
                self._database.rows(
                    "INSERT INTO temp.dating VALUES (?, ?, ?)", (boot_id, start_ns, wake.offset_ns)
                )

    def _anchors(self, which: str, value: object) -> list[Anchor]:
        rows = self._database.rows(
            "SELECT boot_id, monotonic_ns, utc_ns, suspended_ns, clock_quality"
            f" FROM clock_anchors WHERE boot_id {which} ORDER BY boot_id, id",
            (value,),
        )
        return [
            Anchor(boot, monotonic_ns, utc_ns, slept_ns, ClockQuality(quality))
            for boot, monotonic_ns, utc_ns, slept_ns, quality in rows
        ]
