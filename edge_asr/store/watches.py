"""Watches: who listened to a source, from when to when, and how it was meanwhile.

A watch is a stretch in which one process listened to one source. Its beginning and its end are
facts that are written once. In between it leaves a heartbeat every :data:`HEARTBEAT_S`, the one row
that is rewritten: when the process or the power dies, the next listener to the source ends the
watch where the last heartbeat left it. So a death costs the ledger at most one interval, which it
shows as ``not_running``; never the sum.

What was speech stands in the utterances and what was missing in the gaps; a watch only adds that
somebody was there. Hours of silence so cost one small row each half minute.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.records import SourceState
from edge_asr.store.chain import append

if TYPE_CHECKING:
    from edge_asr.records import Instant
    from edge_asr.store.database import Database

HEARTBEAT_S = 30.0
LONGEST_WATCH_S = 3600.0
"""Then it is ended and the next one begun at the same moment, so that its facts are written."""
_COLUMNS = "end_monotonic_ns, n_samples, n_invalid, state, since_monotonic_ns"


class WatchEnd(StrEnum):
    """Why a watch ended."""

    STOPPED = "stopped"
    """The source ended, or listening was stopped."""
    CONTINUED = "continued"
    """It was long enough; another one goes on at the same moment."""
    LOST = "lost"
    """The process or the power died: it ended some time after its last heartbeat."""


@dataclass(slots=True)
class Progress:
    """How far a watch got, and how it is."""

    position_ns: int
    """``CLOCK_MONOTONIC``: until then all is known."""
    n_samples: int = 0
    n_invalid: int = 0
    has_heard: bool = False
    state: SourceState = SourceState.NO_DEVICE
    now_ns: int = 0
    """For how long the state is known to last, where it is one without sound."""

    def columns(self) -> tuple[int, int, int, str, int]:
        """Return the values of ``_COLUMNS``."""
        hearing = self.state is SourceState.HEARING
        end_ns = self.position_ns if hearing else max(self.position_ns, self.now_ns)
        return (end_ns, self.n_samples, self.n_invalid, self.state.value, self.position_ns)


class Watch:
    """The watch of a listener, from its start to its end. Made by :meth:`Watches.begin`."""

    def __init__(self, database: Database, source: str, start: Instant) -> None:
        self._database = database
        self._source = source
        self._start = start
        self.progress = Progress(start.monotonic_ns, now_ns=start.monotonic_ns)
        self._begun_at_s = self._beat_at_s = time.monotonic()
        with database.transaction():
            self._id = self._add(start, self.progress)

    @property
    def position_ns(self) -> int:
        """Until when all is known, ``CLOCK_MONOTONIC``."""
        return self.progress.position_ns

    @property
    def has_heard(self) -> bool:
        """Whether there was any sound since the source was opened."""
        return self.progress.has_heard

    def heard(self, end_ns: int, n_samples: int, n_invalid: int = 0) -> None:
        """Take note of sound that ends then."""
        progress = self.progress
        progress.position_ns = max(progress.position_ns, end_ns)
        progress.n_samples += n_samples
        progress.n_invalid += n_invalid
        self._turn(SourceState.HEARING)
        progress.has_heard = True

    def missed(self, end_ns: int) -> None:
        """Take note of a gap that was stored and ends then."""
        self.progress.position_ns = max(self.progress.position_ns, end_ns)

    def absent(self, state: SourceState, now_ns: int) -> None:
        """Take note that there is no sound since the last, and why."""
        self._turn(state)
        self.progress.now_ns = now_ns

    def _turn(self, state: SourceState) -> None:
        """Take note of a state; a change is worth a heartbeat, so that a death leaves it known."""
        if state is not self.progress.state:
            self.progress.state = state
            self._beat_at_s = -HEARTBEAT_S

    def beat(self) -> None:
        """Leave a heartbeat if it is time. A disk that refuses is asked again: no time is lost.

        The process's own clock says when, not the source's: a file may be faster than time.
        """
        now_s = time.monotonic()
        if now_s - self._beat_at_s < HEARTBEAT_S:
            return
        self._beat_at_s = now_s
        with contextlib.suppress(StoreError):
            if now_s - self._begun_at_s >= LONGEST_WATCH_S:
                self._continue()
            else:
                self._write_heartbeat(self._id, self.progress)

    def end(self) -> None:
        """End it: nobody listens any more.

        Raises:
            StoreError: the disk refuses; the next start ends it.
        """
        with self._database.transaction():
            add_end(self._database, self._id, self.progress.columns(), WatchEnd.STOPPED)

    def _continue(self) -> None:
        end_ns = self.progress.columns()[0]
        with self._database.transaction():
            add_end(self._database, self._id, self.progress.columns(), WatchEnd.CONTINUED)
            fresh = replace(self.progress, n_samples=0, n_invalid=0)
            watch_id = self._add(self._start.shifted(end_ns - self._start.monotonic_ns), fresh)
        self._id, self.progress, self._begun_at_s = watch_id, fresh, time.monotonic()

    def _add(self, start: Instant, progress: Progress) -> int:
        """Write down the beginning, within a transaction; return the watch's id."""
        rows = self._database.rows(
            "INSERT INTO watches"
            " (source, start_utc_ns, start_monotonic_ns, boot_id, clock_quality)"
            " VALUES (?, ?, ?, ?, ?) RETURNING id",
            (
                self._source,
                start.utc_ns,
                start.monotonic_ns,
                start.boot_id,
                start.clock_quality.value,
            ),
        )
        watch_id = int(rows[0][0])
        append(self._database, "watches", watch_id)
        self._write_heartbeat(watch_id, progress)
        return watch_id

    def _write_heartbeat(self, watch_id: int, progress: Progress) -> None:
        self._database.rows(
            f"INSERT OR REPLACE INTO heartbeats (watch_id, {_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
            (watch_id, *progress.columns()),
        )


class Watches:
    """Begins watches, and ends those of the dead."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, source: str, start: Instant) -> Watch:
        """Begin to watch a source. Only its one listener may call this.

        Raises:
            StoreError: the disk refuses.
        """
        self._end_lost(source)
        return Watch(self._database, source, start)

    def states(self) -> dict[str, SourceState]:
        """Return how each source was at the last heartbeat of a watch that has no end yet."""
        rows = self._database.rows(
            "SELECT w.source, h.state FROM heartbeats h JOIN watches w ON w.id = h.watch_id"
            " ORDER BY w.id"
        )
        return {source: SourceState(state) for source, state in rows}

    def behind_s(self, source: str, moment: Instant) -> float:
        """Return how far the account of a source's listener lags behind now, in seconds.

        A listener that stores what it hears, or tells of absence, is at most a heartbeat behind.
        0 where none of this boot has left any.
        """
        row = self._database.row(
            "SELECT max(h.end_monotonic_ns) FROM heartbeats h JOIN watches w ON w.id = h.watch_id"
            " WHERE w.source = ? AND w.boot_id = ?",
            (source, moment.boot_id),
        )
        end_ns = row[0] if row else None
        return 0.0 if end_ns is None else max(0.0, (moment.monotonic_ns - end_ns) / 1e9)

    def _end_lost(self, source: str) -> None:
        with self._database.transaction():
            for watch_id, *columns in self._database.rows(
                f"SELECT watch_id, {_COLUMNS} FROM heartbeats h JOIN watches w"
                " ON w.id = h.watch_id WHERE w.source = ?",
                (source,),
            ):
                add_end(self._database, watch_id, tuple(columns), WatchEnd.LOST)


def add_end(
    database: Database, watch_id: int, columns: tuple[object, ...], reason: WatchEnd
) -> int:
    """Write down the end of a watch in place of its heartbeat, within a transaction; return its id.

    Raises:
        StoreError: the disk refuses.
    """
    rows = database.rows(
        f"INSERT INTO watch_ends (watch_id, {_COLUMNS}, reason)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (watch_id, *columns, reason.value),
    )
    append(database, "watch_ends", rows[0][0])
    database.rows("DELETE FROM heartbeats WHERE watch_id = ?", (watch_id,))
    return int(rows[0][0])
