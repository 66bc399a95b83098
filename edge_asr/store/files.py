"""Files that survive a power cut: written whole, synchronised, locked, named in dated folders.

A new name is only durable once its directory was synchronised; a rename is all or nothing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge_asr.errors import DiskRefusesError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAY_PASS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG, errno.ENOMEM}
"""What a disk says that may take more later."""
_SMALL_DISK_PARTS = 10
OWNER_ONLY = 0o600
OWNER_ONLY_DIRECTORY = 0o700


@contextmanager
def file_errors(path: Path) -> Iterator[None]:
    """Turn what the system says about a file into a sentence.

    Raises:
        StoreError: the block raised an ``OSError``.
    """
    try:
        yield
    except OSError as error:
        kind = DiskRefusesError if error.errno in MAY_PASS else StoreError
        raise kind(f"{error.filename or path}: {error.strerror or error}") from error


def has_room(directory: Path, min_free_bytes: int) -> bool:
    """Tell whether so much is free; of a small disk, a tenth is enough."""
    disk = shutil.disk_usage(directory)
    return disk.free >= min(min_free_bytes, disk.total // _SMALL_DISK_PARTS)


def sync(path: Path) -> None:
    """Synchronise a file or a directory with the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_directory(path: Path) -> None:
    """Make a directory and its parents durably, for the owner only; no harm if it is there."""
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode=OWNER_ONLY_DIRECTORY, exist_ok=True)
    sync(path.parent)


def give_to_owner(state_dir: Path, *paths: Path) -> None:
    """Let the owner of a state directory use what root made in it."""
    if os.geteuid() == 0:
        owner = state_dir.stat()
        for path in paths:
            os.chown(path, owner.st_uid, owner.st_gid)


def lock_file(path: Path, *, create: bool) -> int | None:
    """Open a file and lock it for this process, as long as the descriptor is open.

    The lock ends with the process, however it ends.

    Returns:
        The descriptor; None when another process has the lock, or there is no such file.
    """
    flags = os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0)
    while True:
        try:
            descriptor = os.open(path, flags, OWNER_ONLY)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Whoever had the lock may have removed the file: then ours is a lock on nothing.
            if os.fstat(descriptor).st_nlink:
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            return None
        os.close(descriptor)


def replace_file(path: Path, content: bytes, *, mode: int, durable: bool = True) -> None:
    """Write a file aside and rename it: whoever reads it gets all of the old or all of the new.

    Args:
        path: where; what is there is replaced.
        content: of the file.
        mode: who may read it, whatever the process's mask.
        durable: be sure that it survives a power cut. Otherwise it may be empty then.

    Raises:
        OSError: it cannot be written; what was there is as it was.
    """
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with aside.open("wb") as file:
            os.fchmod(file.fileno(), mode)
            file.write(content)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    if durable:
        sync(path.parent)
