"""The one door to SQLite: how the database is opened, asked, and written.

Two processes write to one database (``listen`` and ``recognize``), others read. WAL lets them work
side by side; ``synchronous=FULL`` makes every commit survive a power cut. SQLite before 3.51.3 can
damage a database that several connections write in WAL mode, and Debian's is older: ``apsw`` brings
its own.
"""

from __future__ import annotations

import contextlib
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import apsw

from edge_asr.errors import StoreError
from edge_asr.store.sqlite_errors import DAMAGE, as_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

Row = tuple[Any, ...]

DATABASE = "log.sqlite3"
"""Its name in the state directory."""
MIN_SQLITE = (3, 51, 3)
"""The first release without the WAL-reset race (https://sqlite.org/wal.html#walresetbug)."""
BUSY_TIMEOUT_MS = 5_000
"""How long a writer waits for another one. A commit takes milliseconds, a migration more."""
_RETRY_S = 0.02

_PRAGMAS = (
    "PRAGMA foreign_keys = ON",
    "PRAGMA trusted_schema = OFF",
    "PRAGMA cell_size_check = ON",
    "PRAGMA mmap_size = 0",
    "PRAGMA temp_store = MEMORY",
)
_WRITER_PRAGMAS = (
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = FULL",
    "PRAGMA wal_autocheckpoint = 100",
    "PRAGMA journal_size_limit = 1048576",
    "PRAGMA secure_delete = ON",
)
_MAX_VALUE_BYTES = 64 << 20
"""Of a text or a row: what a damaged file claims beyond it is not read."""
SUSPECT_SUFFIX = ".suspect"
"""Of an empty file beside the database: SQLite took it for a damaged one since its last check."""
_PROGRESS_STEPS = 20_000
"""Steps of SQLite's machine between two looks at the clock: some milliseconds."""


class Database:
    """One connection. Every error of SQLite leaves it as a :class:`StoreError` sentence.

    Args:
        path: the database; a writer makes it if it is not there, readable by its owner only.
        readonly: only read, side by side with whoever writes.
        without_wal: read what is in the file alone, and lock nothing.

    Raises:
        StoreError: it cannot be opened, or SQLite is too old.
    """

    def __init__(self, path: Path, *, readonly: bool = False, without_wal: bool = False) -> None:
        check_library()
        self._path = path
        self._readonly = readonly
        self._without_wal = without_wal
        self._is_suspect = self._is_noted = False
        if not readonly:
            _make_private(path)
        self._open()
        self._identity = _identity(path)

    def _open(self) -> None:
        readonly = self._readonly
        with self._sentences():
            flags = apsw.SQLITE_OPEN_READONLY if readonly else apsw.SQLITE_OPEN_READWRITE
            name = str(self._path)
            if self._without_wal:
                flags |= apsw.SQLITE_OPEN_URI
                name = f"file:{quote(name)}?immutable=1"
            self._connection = apsw.Connection(name, flags=flags)
            try:
                self._connection.limit(apsw.SQLITE_LIMIT_LENGTH, _MAX_VALUE_BYTES)
                self._connection.set_busy_timeout(BUSY_TIMEOUT_MS)
                if not readonly:
                    self._become_writer()
                for pragma in _PRAGMAS:
                    self._connection.execute(pragma).fetchall()
            except apsw.Error:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the connection. The last one to close folds the WAL into the database."""
        with self._sentences():
            self._connection.close()

    def rows(self, sql: str, parameters: Sequence[object] = ()) -> list[Row]:
        """Run one statement and return all its rows."""
        if self._is_suspect and not self.in_transaction:
            self._reopen()
        with self._sentences():
            return list(self._connection.execute(sql, _storable(parameters)))

    def each(self, sql: str, parameters: Sequence[object] = ()) -> Iterator[Row]:
        """Run one statement and yield its rows while they are read: an error comes after them."""
        with self._sentences():
            yield from self._connection.execute(sql, _storable(parameters))

    def row(self, sql: str, parameters: Sequence[object] = ()) -> Row | None:
        """Run one statement and return its only row, or None."""
        rows = self.rows(sql, parameters)
        return rows[0] if rows else None

    def script(self, sql: str) -> None:
        """Run several statements."""
        with self._sentences():
            self._connection.execute(sql).fetchall()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what the block writes as a whole, or nothing of it; other writers wait.

        Raises:
            StoreError: SQLite refuses, or the file is not where it was opened: what goes into it
                would be parted from its sound.
        """
        self.rows("BEGIN IMMEDIATE")
        try:
            self._check_place()
            yield
            self.rows("COMMIT")
        except BaseException:
            # Some errors (a full disk) have rolled back already.
            if not self._connection.get_autocommit():
                self.rows("ROLLBACK")
            raise

    def _check_place(self) -> None:
        """Check that the file is where it was opened; whoever replaces it holds the same lock."""
        if _identity(self._path) != self._identity:
            raise StoreError(
                f"{self._path}: moved, removed or replaced while it was open; "
                "put it back if it was not meant, and start again"
            )

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """Read the database as it is at one moment, whatever others write meanwhile."""
        self.rows("BEGIN")
        try:
            yield
        finally:
            self.rows("ROLLBACK")

    def empty_write_ahead_log(self) -> None:
        """Fold the WAL into the database and cut it to nothing: what was deleted is not there.

        Raises:
            StoreError: others keep it in use; try again.
        """
        busy = self.rows("PRAGMA wal_checkpoint(TRUNCATE)")[0][0]
        if busy:
            raise StoreError(f"{self._path}: its write-ahead log is in use; try again")

    def problem(self, *, indexes: bool, alive: Callable[[], bool]) -> str | None:
        """Return what SQLite finds wrong with the database first, or None.

        Args:
            indexes: look at the indexes' content, too, which takes longer.
            alive: is called often; when it says False, what was not looked at is taken for whole.

        Raises:
            StoreError: it cannot even be looked at.
        """
        self._connection.set_progress_handler(lambda: not alive(), _PROGRESS_STEPS)
        try:
            with self._sentences():
                check = "integrity_check" if indexes else "quick_check"
                found = self._connection.execute(f"PRAGMA {check}(1)").fetchall()
        except StoreError as error:
            if isinstance(error.__cause__, apsw.InterruptError):
                return None
            if isinstance(error.__cause__, apsw.SQLError):  # the index of words cannot be opened
                return str(error.__cause__)
            raise
        finally:
            self._connection.set_progress_handler(None)
        return None if found == [("ok",)] else " ".join(str(found[0][0]).split())

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is under way."""
        return not self._connection.get_autocommit()

    @property
    def user_version(self) -> int:
        """The schema's version, as SQLite keeps it in the file's header."""
        row = self.row("PRAGMA user_version")
        return int(row[0]) if row else 0

    @property
    def data_version(self) -> int:
        """A number that changes when another connection has written something: cheap to ask for."""
        row = self.row("PRAGMA data_version")
        return int(row[0]) if row else 0

    def _reopen(self) -> None:
        """Begin anew with what is on the disk."""
        self._is_suspect = False
        with contextlib.suppress(apsw.Error):
            self._connection.close()
        self._open()

    def _become_writer(self) -> None:
        # Turning on WAL does not wait for others who do the same: SQLite's timeout is not asked.
        deadline_s = time.monotonic() + BUSY_TIMEOUT_MS / 1000
        while True:
            try:
                for pragma in _WRITER_PRAGMAS:
                    self._connection.execute(pragma).fetchall()
            except apsw.BusyError:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(_RETRY_S)
            else:
                return

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except UnicodeDecodeError as error:
            self._note_suspicion()
            raise as_sentence(self._path, error) from error
        except apsw.Error as error:
            # After a failed synchronisation the kernel may have dropped what was written, and
            # after a failed read SQLite may take a whole database for a damaged one.
            self._is_suspect |= isinstance(error, (apsw.IOError, apsw.CorruptError))
            if isinstance(error, DAMAGE):
                self._note_suspicion()
            raise as_sentence(self._path, error) from error

    def _note_suspicion(self) -> None:
        """Have the next start look at all of the database, however large it is."""
        if not self._is_noted:
            self._is_noted = True
            with contextlib.suppress(OSError):
                self._path.with_name(f"{self._path.name}{SUSPECT_SUFFIX}").touch(0o600)


def _storable(parameters: Sequence[object]) -> list[object]:
    """Return the parameters without halves of characters, which names of files may hold."""
    return [
        value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
        for value in parameters
    ]


def check_library() -> str:
    """Return the version of SQLite.

    Raises:
        StoreError: it is too old.
    """
    found = str(apsw.sqlite_lib_version())
    if tuple(int(part) for part in found.split(".")) < MIN_SQLITE:
        needed = ".".join(map(str, MIN_SQLITE))
        raise StoreError(
            f"SQLite {found} is too old for two writers; install apsw >= {needed} "
            "from its wheel, which brings its own SQLite",
        )
    return found


def _identity(path: Path) -> tuple[int, int] | None:
    """Return which file lies at ``path``, or None."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def _make_private(path: Path) -> None:
    """Make the file before SQLite does: what SQLite puts beside it inherits its rights."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from error
