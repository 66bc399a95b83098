"""Alarms on disk: raised once, cleared once, never rewritten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.alarms import Alarm, AlarmCode
from edge_asr.records import ClockQuality, Instant
from edge_asr.store.chain import append
from edge_asr.store.dating import Dating, real_time_sql
from edge_asr.store.sqlite_errors import from_row

if TYPE_CHECKING:
    from edge_asr.store.database import Database, Row

_LAST_NS = (1 << 63) - 1
ALARMS = (
    "SELECT a.id, a.code, a.source, a.utc_ns, a.monotonic_ns, a.boot_id, a.clock_quality, a.detail,"
    " e.utc_ns, e.monotonic_ns, e.boot_id, e.clock_quality, e.detail"
    " FROM alarms a LEFT JOIN alarm_ends e ON e.alarm_id = a.id"
)
_RAISED = real_time_sql("a.utc_ns", "a.monotonic_ns", "a.boot_id")
_CLEARED = real_time_sql("e.utc_ns", "e.monotonic_ns", "e.boot_id")


class Alarms:
    """What was wrong, and what is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def raise_alarm(
        self, code: AlarmCode, source: str, detail: str, *, moment: Instant
    ) -> Alarm | None:
        """Raise an alarm; None, and nothing is added, while the same one of that source is active.

        Raises:
            StoreError: the disk refuses.
        """
        with self._database.transaction():
            if self._active_id(code, source) is not None:
                return None
            alarm_id = self._add_alarm(code, source, detail, moment)
        return Alarm(alarm_id, code, source, moment, detail)

    def clear_alarm(self, code: AlarmCode, source: str, detail: str, *, moment: Instant) -> bool:
        """Clear an alarm; whether it was active.

        Raises:
            StoreError: the disk refuses.
        """
        if self._active_id(code, source) is None:  # the usual answer needs no lock
            return False
        with self._database.transaction():
            alarm_id = self._active_id(code, source)
            if alarm_id is None:
                return False
            self._add_end(alarm_id, detail, moment)
        return True

    def active(self, source: str | None = None) -> list[Alarm]:
        """Return what is wrong now, oldest first: of one source, or of all and of the appliance."""
        rows = self._database.rows(
            f"{ALARMS} WHERE e.id IS NULL AND coalesce(a.source = ?, 1) ORDER BY a.id", (source,)
        )
        return [alarm_from(row) for row in rows]

    def between(
        self,
        since_utc_ns: int = 0,
        until_utc_ns: int = _LAST_NS,
        source: str | None = None,
    ) -> list[Alarm]:
        """Return the alarms that were active in a stretch of time, as they were raised."""
        Dating(self._database).prepare()
        rows = self._database.rows(
            f"{ALARMS} WHERE {_RAISED} <= ? AND CASE WHEN e.id IS NULL THEN ? ELSE {_CLEARED} END"
            " >= ?"
            " AND coalesce(a.source = ?, 1) ORDER BY a.id",
            (until_utc_ns, _LAST_NS, since_utc_ns, source),
        )
        return [alarm_from(row) for row in rows]

    def _active_id(self, code: AlarmCode, source: str) -> int | None:
        row = self._database.row(
            "SELECT a.id FROM alarms a WHERE a.code = ? AND a.source = ?"
            " AND NOT EXISTS (SELECT 1 FROM alarm_ends e WHERE e.alarm_id = a.id)",
            (code.value, source),
        )
        return int(row[0]) if row else None

    def _add_alarm(self, code: AlarmCode, source: str, detail: str, moment: Instant) -> int:
        rows = self._database.rows(
            "INSERT INTO alarms"
            " (code, source, utc_ns, monotonic_ns, boot_id, clock_quality, detail)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
            (code.value, source, *_columns(moment), detail),
        )
        append(self._database, "alarms", rows[0][0])
        return int(rows[0][0])

    def _add_end(self, alarm_id: int, detail: str, moment: Instant) -> int:
        rows = self._database.rows(
            "INSERT INTO alarm_ends"
            " (alarm_id, utc_ns, monotonic_ns, boot_id, clock_quality, detail)"
            " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
            (alarm_id, *_columns(moment), detail),
        )
        append(self._database, "alarm_ends", rows[0][0])
        return int(rows[0][0])


def _columns(moment: Instant) -> tuple[int, int, str, str]:
    return (moment.utc_ns, moment.monotonic_ns, moment.boot_id, moment.clock_quality.value)


@from_row
def alarm_from(row: Row) -> Alarm:
    """Return the alarm of a row of ``ALARMS``."""
    alarm_id, code, source, *raised, detail = row[:8]
    cleared = None if row[8] is None else _instant(row[8:12])
    return Alarm(
        alarm_id, AlarmCode(code), source, _instant(tuple(raised)), detail, cleared, row[12] or ""
    )


def _instant(row: Row) -> Instant:
    utc_ns, monotonic_ns, boot_id, quality = row
    return Instant(utc_ns, monotonic_ns, boot_id, ClockQuality(quality))
