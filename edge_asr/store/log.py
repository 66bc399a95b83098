"""The log as its readers see it: utterances with their text, in order, filtered, searched.

Entries come in the order in which they were committed, which no jump of the clock can change. They
are read in pages, so that a slow reader never holds up the writers' housekeeping.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.store.dating import Dating, real_time_sql
from edge_asr.store.query import parse_query
from edge_asr.store.rows import (
    N_TRANSCRIPT_COLUMNS,
    N_UTTERANCE_COLUMNS,
    TRANSCRIPT_COLUMNS,
    UTTERANCE_COLUMNS,
    transcript_from,
    utterance_from,
)
from edge_asr.store.versions import rank_sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.records import Transcript, Utterance
    from edge_asr.store.database import Database, Row

PAGE = 500
"""Entries in one read."""
_COLUMNS = f"{UTTERANCE_COLUMNS}, {TRANSCRIPT_COLUMNS}"
_FROM = "FROM transcripts t JOIN utterances u ON u.id = t.utterance_id WHERE"
_IS_LATEST = (
    "t.is_shown AND NOT EXISTS (SELECT 1 FROM transcripts n"
    f" WHERE n.utterance_id = t.utterance_id AND n.is_shown AND {rank_sql('n')} > {rank_sql('t')})"
)
_IS_TRANSCRIPTION = (
    "t.parent_version IS NULL AND t.is_shown AND NOT EXISTS (SELECT 1 FROM transcripts n"
    " WHERE n.utterance_id = t.utterance_id AND n.version > t.version AND n.is_shown"
    " AND n.parent_version IS NULL)"
)


_SPOKEN = real_time_sql("u.start_utc_ns", "u.start_monotonic_ns", "u.boot_id")


@dataclass(frozen=True, slots=True)
class Entry:
    """One version of what was said, and the utterance it is of."""

    utterance: Utterance
    transcript: Transcript
    corrected_start_utc_ns: int | None = None
    """When it began, where the clock of its boot is known better by now than it was then."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which entries are wanted."""

    since_utc_ns: int | None = None
    """Spoken then or later."""
    until_utc_ns: int | None = None
    """Spoken before."""
    source: str | None = None
    language: str | None = None
    from_sound: bool = False
    """Of each utterance the last version that was made from the sound, not a polished one."""
    before_id: int | None = None
    """Only utterances with a smaller id: those before a page that was read."""
    max_avg_logprob: float | None = None
    """Only what the model was no surer of; what it cannot say counts as sure."""
    utterance_ids: tuple[int, ...] | None = None
    """Only these."""

    @property
    def stands(self) -> str:
        """The condition for the version of ``transcripts t`` that stands for its utterance."""
        return _IS_TRANSCRIPTION if self.from_sound else _IS_LATEST

    def conditions(self) -> tuple[list[str], list[object]]:
        """Return conditions on ``utterances u`` and ``transcripts t``, and their values."""
        given = {
            f"{_SPOKEN} >= ?": self.since_utc_ns,
            f"{_SPOKEN} < ?": self.until_utc_ns,
            "u.source = ?": self.source,
            "t.language = ?": self.language,
            "u.id < ?": self.before_id,
            "t.avg_logprob <= ?": self.max_avg_logprob,
            "u.id IN (SELECT value FROM json_each(?))": (
                None if self.utterance_ids is None else json.dumps(self.utterance_ids)
            ),
        }
        wanted = {sql: value for sql, value in given.items() if value is not None}
        return list(wanted), list(wanted.values())


EVERYTHING = Filter()


class Log:
    """Reads entries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def entries(
        self, wanted: Filter = EVERYTHING, *, all_versions: bool = False
    ) -> Iterator[Entry]:
        """Yield entries, oldest utterance first: the latest version of each, or all versions."""
        conditions, values = wanted.conditions()
        Dating(self._database).prepare()
        conditions.append("(t.utterance_id, t.version) > (?, ?)")
        if not all_versions:
            conditions.append(wanted.stands)
        sql = (
            f"SELECT {_COLUMNS} {_FROM} {' AND '.join(conditions)}"
            f" ORDER BY t.utterance_id, t.version LIMIT {PAGE}"
        )
        last = (0, 0)
        while page := self._database.rows(sql, (*values, *last)):
            entries = self._entries(page)
            yield from entries
            last = (entries[-1].transcript.utterance_id, entries[-1].transcript.version)

    def last(self, n: int, wanted: Filter = EVERYTHING) -> list[Entry]:
        """Return the latest versions of the last ``n`` utterances that have text, oldest first."""
        conditions, values = wanted.conditions()
        Dating(self._database).prepare()
        where = " AND ".join([*conditions, wanted.stands])
        rows = self._database.rows(
            f"SELECT {_COLUMNS} {_FROM} {where} ORDER BY t.utterance_id DESC LIMIT ?",
            (*values, n),
        )
        return self._entries(rows[::-1])

    def since(
        self, after: int, *, from_sound: bool = False, at_once: int = PAGE
    ) -> tuple[list[Entry], int]:
        """Return the versions shown that were added since then, and where to go on from.

        Args:
            after: what the last call returned as second; :meth:`position` for the first.
            from_sound: only versions that were made from the sound.
            at_once: how many at most.
        """
        only = " AND t.parent_version IS NULL" if from_sound else ""
        rows = self._database.rows(
            f"SELECT {_COLUMNS}, t.id {_FROM} t.id > ? AND t.is_shown{only} ORDER BY t.id LIMIT ?",
            (after, at_once),
        )
        return self._entries(rows), rows[-1][-1] if rows else after

    def position(self) -> int:
        """Return the end of the log, for :meth:`since`."""
        return int(self._database.rows("SELECT coalesce(max(id), 0) FROM transcripts")[0][0])

    def search(self, typed: str, wanted: Filter = EVERYTHING, *, limit: int) -> list[Entry]:
        """Return the newest utterances whose latest version has the typed words, newest first.

        Words, ``"phrases"`` and ``beginnings*``; all must occur, case and accents do not matter.
        Whatever is typed, it is no error.
        """
        query = parse_query(typed)
        if not query.terms:
            return []
        conditions, values = wanted.conditions()
        Dating(self._database).prepare()
        if query.needs_scan:
            conditions += ["t.text LIKE ? ESCAPE '\\'"] * len(query.terms)
            values += query.patterns
        else:
            conditions.append("t.id IN (SELECT rowid FROM words WHERE words MATCH ?)")
            values.append(query.match)
        rows = self._database.rows(
            f"SELECT {_COLUMNS} {_FROM} {' AND '.join([*conditions, wanted.stands])}"
            " ORDER BY t.utterance_id DESC LIMIT ?",
            (*values, limit),
        )
        return self._entries(rows)

    def _entries(self, rows: list[Row]) -> list[Entry]:
        dating = Dating(self._database)
        middle, end = N_UTTERANCE_COLUMNS, N_UTTERANCE_COLUMNS + N_TRANSCRIPT_COLUMNS
        entries = []
        for row in rows:
            utterance = utterance_from(row[:middle])
            corrected_ns = dating.corrected_utc_ns(utterance.start)
            entries.append(Entry(utterance, transcript_from(row[middle:end]), corrected_ns))
        return entries
