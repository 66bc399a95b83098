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


def open_to_read(path: Path) -> Database:
    """Open a database to read, side by side with whoever writes, or alone where nobody can.

    Raises:
        StoreError: it cannot be opened; or nobody can write there, and the last to do so did not
            end in good order.
    """
    with file_errors(path.parent):
        is_frozen = bool(os.statvfs(path.parent).f_flag & os.ST_RDONLY)
    log = path.with_name(f"{path.name}-wal")
    with file_errors(path):
        if is_frozen and log.exists() and log.stat().st_size:
            raise StoreError(
                f"{path.parent} is on a read-only file system, and its last entries are not in the "
                "database yet; copy the directory to where it can be written, and read it there "
                "with --state"
            )
    return Database(path, readonly=True, without_wal=is_frozen)
