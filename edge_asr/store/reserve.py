"""A reserve of disk space: what a start needs that finds the disk full.

To open a database takes a little room. A start that finds none gives the reserve up and opens it;
sound is then heard and waits in memory, as on a disk that fills while somebody listens.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from edge_asr.store.files import OWNER_ONLY, file_errors, give_to_owner, sync

if TYPE_CHECKING:
    from pathlib import Path

RESERVE = "reserve"
RESERVE_BYTES = 512 << 10
"""The index of the write-ahead log, some transactions, a lock, and the first seconds of sound."""
_PLENTY_BYTES = 64 << 20
"""It is laid up only where so much is free."""


def lay_up_reserve(state_dir: Path) -> None:
    """Lay a reserve up, if there is none and there is plenty of room.

    Raises:
        StoreError: the disk refuses.
    """
    reserve = state_dir / RESERVE
    with file_errors(reserve):
        found = os.statvfs(state_dir)
        if reserve.exists() or found.f_bavail * found.f_frsize < _PLENTY_BYTES:
            return
        unfinished = reserve.with_suffix(".part")
        unfinished.touch(OWNER_ONLY)
        unfinished.write_bytes(os.urandom(RESERVE_BYTES))  # zeros may take no room
        sync(unfinished)
        unfinished.replace(reserve)
        give_to_owner(state_dir, reserve)


def give_up_reserve(state_dir: Path) -> bool:
    """Give the reserve up; whether there was one."""
    with contextlib.suppress(OSError):
        (state_dir / RESERVE).unlink()
        return True
    return False
