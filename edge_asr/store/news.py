"""What was added to the log since somebody looked last, of whatever kind, without missing anything.

A position is a number for each kind: rows are only ever added, with rising ids, so a reader who
keeps it may go away for as long as it likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from edge_asr.store.alarms import ALARMS, alarm_from
from edge_asr.store.gaps import SourceGap
from edge_asr.store.log import Entry, Log
from edge_asr.store.rows import GAP_COLUMNS, UTTERANCE_COLUMNS, gap_from, utterance_from

if TYPE_CHECKING:
    from edge_asr.alarms import Alarm
    from edge_asr.records import Utterance
    from edge_asr.store.database import Database

AT_ONCE = 100
"""Of each kind in one read."""


class Position(NamedTuple):
    """How far somebody read: the last id of each kind."""

    transcripts: int
    utterances: int
    gaps: int
    alarms: int
    alarm_ends: int

    def __str__(self) -> str:
        return ".".join(map(str, self))

    @classmethod
    def parsed(cls, text: str) -> Position | None:
        """Return what :meth:`__str__` wrote, or None if it is nothing of the kind."""
        parts = text.split(".")
        # An id has at most 63 bits: 18 digits always fit.
        if len(parts) != len(cls._fields) or not all(
            part.isascii() and part.isdecimal() and len(part) <= 18  # noqa: PLR2004
            for part in parts
        ):
            return None
        return cls(*map(int, parts))


@dataclass(frozen=True, slots=True)
class AlarmNews:
    """An alarm that was raised or cleared."""

    alarm: Alarm
    active: bool


Item = Entry | SourceGap | AlarmNews
"""A version of a text, a gap, an alarm; an utterance stands as itself."""


class News:
    """Reads on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._log = Log(database)

    def position(self) -> Position:
        """Return the end of the log."""
        of_each = ", ".join(
            f"(SELECT coalesce(max(id), 0) FROM {table})" for table in Position._fields
        )
        return Position(*self._database.rows(f"SELECT {of_each}")[0])

    def since(
        self, position: Position, at_once: int = AT_ONCE
    ) -> tuple[list[Item | Utterance], Position]:
        """Return what is new since then, each kind in order, and where to go on from.

        Args:
            position: how far was read.
            at_once: how many of each kind at most.
        """
        with self._database.snapshot():
            utterances, last_utterance = self._utterances(position.utterances, at_once)
            entries, last_transcript = self._log.since(position.transcripts, at_once=at_once)
            gaps, last_gap = self._gaps(position.gaps, at_once)
            raised, last_alarm = self._raised(position.alarms, at_once)
            cleared, last_end = self._cleared(position.alarm_ends, at_once)
        reached = Position(last_transcript, last_utterance, last_gap, last_alarm, last_end)
        return [*utterances, *gaps, *raised, *cleared, *entries], reached

    def _utterances(self, after: int, at_once: int) -> tuple[list[Utterance], int]:
        rows = self._database.rows(
            f"SELECT {UTTERANCE_COLUMNS} FROM utterances u WHERE u.id > ? ORDER BY u.id LIMIT ?",
            (after, at_once),
        )
        return [utterance_from(row) for row in rows], rows[-1][0] if rows else after

    def _gaps(self, after: int, at_once: int) -> tuple[list[SourceGap], int]:
        rows = self._database.rows(
            f"SELECT id, source, {GAP_COLUMNS} FROM gaps WHERE id > ? ORDER BY id LIMIT ?",
            (after, at_once),
        )
        found = [SourceGap(source, gap_from(tuple(row))) for _, source, *row in rows]
        return found, rows[-1][0] if rows else after

    def _raised(self, after: int, at_once: int) -> tuple[list[AlarmNews], int]:
        rows = self._database.rows(
            f"{ALARMS} WHERE a.id > ? ORDER BY a.id LIMIT ?", (after, at_once)
        )
        found = [AlarmNews(alarm_from(row), active=True) for row in rows]
        return found, rows[-1][0] if rows else after

    def _cleared(self, after: int, at_once: int) -> tuple[list[AlarmNews], int]:
        rows = self._database.rows(
            f"{ALARMS} WHERE e.id > ? ORDER BY e.id LIMIT ?", (after, at_once)
        )
        found = [AlarmNews(alarm_from(row), active=False) for row in rows]
        if not rows:
            return [], after
        ids = (rows[-1][0],)
        end_id = self._database.rows("SELECT id FROM alarm_ends WHERE alarm_id = ?", ids)[0][0]
        return found, int(end_id)
