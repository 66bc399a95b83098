"""Reading a log where nothing can be written: a card that was pulled out, or turned read-only.

SQLite shares the index of a write-ahead log through a file that it makes beside it. Where it cannot
make one, the database alone is read, which is all there is after an orderly end.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.store.database import Database
from edge_asr.store.files import file_errors

if TYPE_CHECKING:
    from pathlib import Path


def is_frozen(directory: Path) -> bool:
    """Say whether a directory lies on a file system that is mounted read-only.

    Raises:
        StoreError: there is no such directory.
    """
    with file_errors(directory):
        return bool(os.statvfs(directory).f_flag & os.ST_RDONLY)


def open_frozen(path: Path) -> Database:
    """Open a database that cannot change.

    Raises:
        StoreError: it cannot be read there, because the last to write it did not end in good order.
    """
    log = path.with_name(f"{path.name}-wal")
    with file_errors(path):
        if log.exists() and log.stat().st_size:
            raise StoreError(
                f"{path.parent} is on a read-only file system, and its last entries are not in the "
                "database yet; copy the directory to where it can be written, and read it there "
                "with --state"
            )
    return Database(path, readonly=True, without_wal=True)
