"""Gaps: stretches without sound, kept as facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.store.chain import append
from edge_asr.store.dating import Dating, real_time_sql
from edge_asr.store.rows import GAP_COLUMNS, gap_from

if TYPE_CHECKING:
    from edge_asr.records import Gap
    from edge_asr.store.database import Database

_LAST_NS = (1 << 63) - 1
_START = real_time_sql("start_utc_ns", "start_monotonic_ns", "gaps.boot_id")


@dataclass(frozen=True, slots=True)
class SourceGap:
    """A gap, and whose it is."""

    source: str
    gap: Gap


class Gaps:
    """What was not heard."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, source: str, gap: Gap) -> None:
        """Add a gap of a source. It is safe when this returns.

        Raises:
            StoreError: the disk refuses.
        """
        start = gap.start
        with self._database.transaction():
            rows = self._database.rows(
                f"INSERT INTO gaps (source, {GAP_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                " RETURNING id",
                (
                    source,
                    gap.kind.value,
                    start.utc_ns,
                    start.monotonic_ns,
                    start.boot_id,
                    start.clock_quality.value,
                    gap.duration_s,
                    gap.detail,
                ),
            )
            append(self._database, "gaps", rows[0][0])

    def between(
        self,
        since_utc_ns: int = 0,
        until_utc_ns: int = _LAST_NS,
        source: str | None = None,
    ) -> list[SourceGap]:
        """Return the gaps that touch a stretch of time, in the order they were recorded."""
        Dating(self._database).prepare()
        rows = self._database.rows(
            f"SELECT source, {GAP_COLUMNS} FROM gaps WHERE {_START} <= ?"
            f" AND {_START} + duration_s * 1e9 >= ? AND coalesce(source = ?, 1) ORDER BY id",
            (until_utc_ns, since_utc_ns, source),
        )
        return [SourceGap(name, gap_from(tuple(row))) for name, *row in rows]
