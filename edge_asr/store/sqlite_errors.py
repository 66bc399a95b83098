"""What SQLite says went wrong -> what it means, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

import apsw

from edge_asr.errors import DatabaseDamagedError, DiskRefusesError, StoreError

if TYPE_CHECKING:
    from pathlib import Path

_MENDS = "edge-asr listen and recognize set it aside when they start, and carry over what it has"
_SENTENCES: tuple[tuple[type[Exception], str], ...] = (
    (apsw.BusyError, "another process holds the log for too long; try again"),
    (apsw.LockedError, "another process holds the log for too long; try again"),
    (apsw.FullError, "the disk is full; make room"),
    (apsw.NotADBError, f"damaged, or not a database; {_MENDS}"),
    (apsw.CorruptError, f"the database is damaged; {_MENDS}"),
    (apsw.ReadOnlyError, "cannot be written (its file or its file system is read-only)"),
    (apsw.CantOpenError, "cannot be opened; check the rights of the state directory"),
    (apsw.PermissionsError, "cannot be opened; check the rights of the state directory"),
    (apsw.IOError, "the disk failed to read or write; check it, then start again"),
)
DAMAGE = (apsw.NotADBError, apsw.CorruptError)
_MAY_PASS = {apsw.BusyError, apsw.LockedError, apsw.FullError, apsw.ReadOnlyError, apsw.IOError}


def as_sentence(path: Path, error: apsw.Error) -> StoreError:
    """Return the error that says of a database what SQLite's says."""
    for kind, sentence in _SENTENCES:
        if isinstance(error, kind):
            said = f"{path}: {sentence}"
            if kind in DAMAGE:
                return DatabaseDamagedError(said)
            return DiskRefusesError(said) if kind in _MAY_PASS else StoreError(said)
    return StoreError(f"{path}: {error}")
