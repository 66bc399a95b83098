"""A copy of the database's first page: without it, nothing of the rest can be found.

The first page has the file's header and the beginning of the list of tables. It only changes its
meaning with the schema, so a copy from the last good start opens a database whose own is lost, and
shows what of a header should not have changed. To read only: what the page says of free pages may
be old.
"""

from __future__ import annotations

import os
import shutil
import struct
from typing import TYPE_CHECKING

from edge_asr.store.files import OWNER_ONLY, file_errors, sync

if TYPE_CHECKING:
    from pathlib import Path

SUFFIX = ".first-page"
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_PAGE_BYTES = 4096
"""SQLite's default, which this store keeps."""
_COUNTER, _N_PAGES, _FREE_PAGES, _VALID_FOR = 24, 28, 32, 92
_LASTING = (slice(0, 18), slice(20, 24), slice(44, 48), slice(56, 60), slice(64, 72))
_SCHEMA_COOKIE = slice(40, 44)
"""Another number with every change of the schema."""
_FORMATS = slice(18, 20)
"""To write and to read it: 1 is a rollback journal, 2 the write-ahead log."""
_VERSION = slice(60, 64)
"""Where the header has what: https://sqlite.org/fileformat2.html#the_database_header."""


def keep_first_page(path: Path) -> None:
    """Keep a copy beside a database that was found whole, unless there is one like it.

    Raises:
        StoreError: the disk refuses.
    """
    kept = path.with_name(path.name + SUFFIX)
    with file_errors(kept):
        page = _first_bytes(path)
        if not page.startswith(_MAGIC) or _lasting(_first_bytes(kept)) == _lasting(page):
            return
        unfinished = kept.with_name(f"{kept.name}.part")
        unfinished.touch(OWNER_ONLY)
        unfinished.write_bytes(page)
        sync(unfinished)
        unfinished.replace(kept)
        sync(kept.parent)


def header_damage(path: Path, newest: int) -> str | None:
    """Return what is wrong with the header of a database of which a copy was kept, or None.

    Args:
        path: the database.
        newest: the latest version of the schema that this program knows.

    Raises:
        StoreError: it cannot be read.
    """
    with file_errors(path):
        page, kept = _first_bytes(path), _first_bytes(path.with_name(path.name + SUFFIX))
    if _schema(page) != _schema(kept) or not kept.startswith(_MAGIC):
        return None  # the schema is another one, or nothing was kept
    version, kept_version = (int.from_bytes(p[_VERSION], "big") for p in (page, kept))
    is_whole = (
        all(page[part] == kept[part] for part in _LASTING)
        and set(page[_FORMATS]) <= {1, 2}
        and kept_version <= version <= max(newest, kept_version)  # a new one has another schema
    )
    return None if is_whole else "its header was changed"


def copy_with_first_page(path: Path, copy: Path) -> bool:
    """Copy a database and its write-ahead log, with the first page that was kept; whether one was.

    Raises:
        StoreError: there is no room for it, or it cannot be read.
    """
    with file_errors(path):
        page = bytearray(_first_bytes(path.with_name(path.name + SUFFIX)))
        if len(page) < _PAGE_BYTES:
            return False
        n_pages = path.stat().st_size // _PAGE_BYTES
        struct.pack_into(">II", page, _COUNTER, 1, n_pages)
        struct.pack_into(">II", page, _FREE_PAGES, 0, 0)
        struct.pack_into(">I", page, _VALID_FOR, 1)
        shutil.copyfile(path, copy)
        with copy.open("r+b") as file:
            file.write(page)
            file.truncate(max(n_pages, 1) * _PAGE_BYTES)
        log = path.with_name(f"{path.name}-wal")
        if log.exists():
            shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
    return True


def _schema(page: bytes) -> tuple[bytes, ...]:
    return page[_SCHEMA_COOKIE], page[_HEADER_BYTES:]


def _lasting(page: bytes) -> tuple[bytes, ...]:
    """Return what of a first page changes with the schema only."""
    return (*_schema(page), page[_VERSION], *(page[part] for part in _LASTING))


def _first_bytes(path: Path) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return b""
    try:
        return os.pread(descriptor, _PAGE_BYTES, 0)
    finally:
        os.close(descriptor)
