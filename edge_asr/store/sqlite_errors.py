"""What SQLite says went wrong -> what it means, and what to do."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import apsw

from edge_asr.errors import DatabaseDamagedError, DiskRefusesError, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")
_MENDS = "edge-asr listen and recognize set it aside when they start, and carry over what it has"
_DAMAGED = f"the database is damaged; {_MENDS}"
_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (apsw.BusyError, "another process holds the log for too long; try again"),
    (apsw.LockedError, "another process holds the log for too long; try again"),
    (apsw.FullError, "the disk is full; make room"),
    (apsw.NotADBError, f"damaged, or not a database; {_MENDS}"),
    (apsw.CorruptError, _DAMAGED),
    (UnicodeDecodeError, _DAMAGED),
    (apsw.ReadOnlyError, "cannot be written (its file or its file system is read-only)"),
    (apsw.CantOpenError, "cannot be opened; check the rights of the state directory"),
    (apsw.PermissionsError, "cannot be opened; check the rights of the state directory"),
    (apsw.IOError, "the disk failed to read or write; check it, then start again"),
)
DAMAGE = (apsw.NotADBError, apsw.CorruptError, UnicodeDecodeError)
_MAY_PASS = {apsw.BusyError, apsw.LockedError, apsw.FullError, apsw.ReadOnlyError, apsw.IOError}


def as_sentence(path: Path, error: apsw.Error | UnicodeDecodeError) -> StoreError:
    """Return the error that says of a database what SQLite's says, or a text that is none."""
    for kind, sentence in _SENTENCES:
        if isinstance(error, kind):
            said = f"{path}: {sentence}"
            if kind in DAMAGE:
                return DatabaseDamagedError(said)
            return DiskRefusesError(said) if kind in _MAY_PASS else StoreError(said)
    return StoreError(f"{path}: {error}")


def from_row(build: Callable[[tuple[Any, ...]], T]) -> Callable[[tuple[Any, ...]], T]:
    """Have a row that no edge-asr has written be a damaged database, not a defect.

    Raises:
        DatabaseDamagedError: ``build`` cannot make of a row what it should be.
    """

    @wraps(build)
    def built(row: tuple[Any, ...]) -> T:
        try:
            return build(row)
        except (ValueError, TypeError, KeyError) as error:
            raise DatabaseDamagedError(
                f"a row of the database is damaged ({error}); edge-asr log repair leaves it out, "
                "and what was said is transcribed again"
            ) from error

    return built
