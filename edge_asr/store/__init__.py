"""The store: what was said, as sound and as text, on disk. The one door to SQLite.

::

    state directory
    ├── log.sqlite3             rows: utterances, transcripts, gaps, watches, alarms, the words, ...
    ├── audio/2026/11/24/       one FLAC file for each utterance
    ├── open/                   utterances that are being spoken
    ├── muted/                  a file for each source that is muted
    ├── rejected/               what was nearly taken for speech, for a while; no part of the log
    ├── reserve                 room for a start that finds the disk full
    ├── damaged/                what a repair could not use, and damaged databases; never deleted
    ├── locks/                  one recognizer, one listener for each source
    ├── feed/                   sockets of those who look on
    ├── bridges/                how far each bridge to another system has read
    ├── recognizing             the utterance that is being transcribed
    └── recognize.sock          the doorbell
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from edge_asr.errors import StoreError
from edge_asr.store.alarms import Alarms
from edge_asr.store.anchors import Anchors
from edge_asr.store.corrections import Corrections
from edge_asr.store.database import DATABASE, Database
from edge_asr.store.dating import Dating
from edge_asr.store.doorbell import Doorbell
from edge_asr.store.events import log_name
from edge_asr.store.files import file_errors, make_directory
from edge_asr.store.frozen import open_to_read
from edge_asr.store.gaps import Gaps
from edge_asr.store.integrity import Integrity
from edge_asr.store.ledger import Ledger
from edge_asr.store.locks import listener_lock, recognizer_lock
from edge_asr.store.log import Log
from edge_asr.store.migrating import check_version, migrate
from edge_asr.store.mutes import Mutes
from edge_asr.store.news import News
from edge_asr.store.pace import recent_rtf
from edge_asr.store.passes import Passes
from edge_asr.store.retention import Retention
from edge_asr.store.totals import Counting
from edge_asr.store.transcripts import Transcripts
from edge_asr.store.utterances import Utterances
from edge_asr.store.watches import Watches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from edge_asr.records import Instant
    from edge_asr.store.retention import Limits

__all__ = ["DATABASE", "Store"]


class Store:
    """One state directory. Made by :meth:`open`, closed by ``with``."""

    def __init__(self, state_dir: Path, database: Database) -> None:
        self.state_dir = state_dir
        self.utterances = Utterances(database, state_dir)
        self.transcripts = Transcripts(database, state_dir)
        self.corrections = Corrections(database)
        self.passes = Passes(database)
        self.gaps = Gaps(database)
        self.watches = Watches(database)
        self.mutes = Mutes(database, state_dir)
        self.anchors = Anchors(database)
        self.alarms = Alarms(database)
        self.ledger = Ledger(database, state_dir)
        self.log = Log(database)
        self.news = News(database)
        self.integrity = Integrity(database, state_dir)
        self.counting = Counting(database)
        self.doorbell = Doorbell(state_dir)
        self._database = database

    @classmethod
    def open(cls, state_dir: Path, *, readonly: bool = False) -> Self:
        """Open a store; a writer makes it if it is not there, and brings it up to date.

        Args:
            state_dir: where it is.
            readonly: only read, side by side with whoever writes.

        Raises:
            StoreError: it cannot be opened, is from a newer edge-asr, or there is none to read.
        """
        path = state_dir / DATABASE
        with file_errors(state_dir):
            if not readonly:
                make_directory(state_dir)
            elif not path.is_file() or not path.stat().st_size:
                raise StoreError(
                    f"{state_dir}: nothing was recorded here yet; "
                    "edge-asr listen does, or name another directory with --state",
                )
        database = open_to_read(path) if readonly else Database(path)
        try:
            if readonly:
                check_version(database)
            else:
                migrate(database)
        except BaseException:
            database.close()
            raise
        return cls(state_dir, database)

    def corrected_utc_ns(self, moment: Instant) -> int | None:
        """Return when a recorded moment really was, where that is known better by now."""
        return Dating(self._database).corrected_utc_ns(moment)

    @property
    def log_name(self) -> str:
        """What tells this log from every other one."""
        return log_name(self._database)

    @property
    def data_version(self) -> int:
        """A number that changes when another connection has written something."""
        return self._database.data_version

    def recent_rtf(self) -> float | None:
        """Return the real-time factor of the last transcripts; None before there are any."""
        return recent_rtf(self._database)

    def retention(self, limits: Limits) -> Retention:
        """Return what keeps this store within limits."""
        return Retention(self._database, self.state_dir, limits)

    @contextmanager
    def listening(self, source: str) -> Iterator[None]:
        """Be the one listener to this source.

        Raises:
            StoreError: another process is.
        """
        with listener_lock(self.state_dir, source):
            yield

    @contextmanager
    def recognizing(self) -> Iterator[None]:
        """Be the one recognizer: count the attempt a dead one left, and answer the doorbell.

        Raises:
            StoreError: another process is.
        """
        with recognizer_lock(self.state_dir), self.doorbell.answering():
            left = self.transcripts.settle_attempts()
            if left is not None:
                self.passes.record_left(left)
            try:
                yield
            finally:
                self.transcripts.close()

    def close(self) -> None:
        """Close the connection to the database."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()
