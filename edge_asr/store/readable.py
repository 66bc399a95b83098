"""How to read a damaged database: as it is, with the kept list of tables, or without its WAL."""

from __future__ import annotations

from contextlib import closing, contextmanager, suppress
from typing import TYPE_CHECKING

from edge_asr.errors import DatabaseDamagedError, StoreError
from edge_asr.store.database import Database
from edge_asr.store.events import log_name
from edge_asr.store.kept_schema import copy_with_schema, schema_damage
from edge_asr.store.migrating import refuse_newer
from edge_asr.store.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def readable(path: Path, copy: Path) -> Iterator[Database | None]:
    """Give what can be read of a damaged database; None if that is nothing.

    Args:
        path: of the database.
        copy: where one may be made for the time being.

    Raises:
        StoreError: a newer edge-asr wrote it; or there is no room for a copy.
    """
    try:
        old = None
        if has_foreign_wal(path):
            old = _opened(path, without_wal=True)
        elif schema_damage(path, len(MIGRATIONS)) is None:
            old = _opened(path)
        if old is None and path.exists() and copy_with_schema(path, copy):
            old = _opened(copy)
        old = old or _opened(path)
        try:
            yield old
        finally:
            if old is not None:
                old.close()
    finally:
        for left in copy.parent.glob(f"{copy.name}*"):
            left.unlink()


def has_log(database: Database) -> bool:
    """Say whether this is a database of ours.

    Raises:
        StoreError: its list of tables cannot be read.
    """
    return database.row("SELECT 1 FROM sqlite_schema WHERE name = 'utterances'") is not None


def has_foreign_wal(path: Path) -> bool:
    """Say whether the write-ahead log is of another database, and would make this one another."""
    wal = path.with_name(f"{path.name}-wal")
    if not wal.exists() or not wal.stat().st_size:
        return False
    without = _name(path, without_wal=True)
    return bool(without) and _name(path, without_wal=False) not in {"", without}


def _name(path: Path, *, without_wal: bool) -> str:
    """Return what tells this log from others; a question mark if it cannot be read."""
    try:
        with closing(Database(path, readonly=True, without_wal=without_wal)) as database:
            return log_name(database)
    except (DatabaseDamagedError, ValueError):
        return "" if without_wal else "?"
    except StoreError:  # this says nothing of its content
        return ""


def _opened(path: Path, *, without_wal: bool = False) -> Database | None:
    """Return the database, if its list of tables can be read and has ours."""
    try:
        old = Database(path, readonly=True, without_wal=without_wal)
    except StoreError:
        return None
    try:
        with suppress(DatabaseDamagedError):
            if has_log(old):
                refuse_newer(old)
                return old
    except BaseException:
        old.close()
        raise
    old.close()
    return None
