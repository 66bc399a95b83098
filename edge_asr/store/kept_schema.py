"""A copy of the pages that list the tables: without them, nothing of the rest can be found.

They are the first page, which begins with the file's header, and those below it. They only change
with the schema, so a copy from the last good start opens a database whose own are lost, and shows
what should not have changed. To read only: what the copy says of free pages may be old.

A page that is in the write-ahead log, too, may be half written in the file, and says nothing.

The copy is one file: its SHA-256, then for each page its number, four bytes, and the page.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import struct
from typing import TYPE_CHECKING

from edge_asr.store.files import OWNER_ONLY, file_errors, sync
from edge_asr.store.wal import pages_in

if TYPE_CHECKING:
    from pathlib import Path

    Pages = dict[int, bytes]
    """Number -> page; the first has number 1."""

SUFFIX = ".schema"
_MAGIC = b"SQLite format 3\0"
_HEADER_BYTES = 100
_PAGE_BYTES = 4096
"""SQLite's default, which this store keeps."""
_RECORD_BYTES = 4 + _PAGE_BYTES
_MAX_PAGES = 100
_INTERIOR, _CELL_POINTERS = 5, 12
"""Of a page of a table that has pages below it: its type, and where the cells' places stand."""
_LASTING = (slice(0, 18), slice(20, 24), slice(44, 48), slice(56, 60), slice(64, 72))
_COUNTER, _N_PAGES, _FREE_PAGES, _VALID_FOR = 24, 28, 32, 92
_SCHEMA_COOKIE = slice(40, 44)
"""Another number with every change of the schema."""
_FORMATS = slice(18, 20)
"""To write and to read it: 1 is a rollback journal, 2 the write-ahead log."""
_VERSION = slice(60, 64)
"""Where the header has what: https://sqlite.org/fileformat2.html#the_database_header."""


def keep_schema(path: Path) -> None:
    """Keep a copy beside a database that was found whole, unless there is one like it.

    Raises:
        StoreError: the disk refuses.
    """
    kept = path.with_name(path.name + SUFFIX)
    with file_errors(kept):
        pages, before = _schema_pages(path), _read_kept(path)
        is_sound = pages[1].startswith(_MAGIC) and not _in_wal(path) & pages.keys()
        if not is_sound or (1 in before and _lasting(before) == _lasting(pages)):
            return
        unfinished = kept.with_name(f"{kept.name}.part")
        unfinished.touch(OWNER_ONLY)
        content = b"".join(n.to_bytes(4, "big") + pages[n] for n in sorted(pages))
        unfinished.write_bytes(hashlib.sha256(content).digest() + content)
        sync(unfinished)
        unfinished.replace(kept)
        sync(kept.parent)


def schema_damage(path: Path, newest: int) -> str | None:
    """Return what is wrong with the list of tables of which a copy was kept, or None.

    Args:
        path: the database.
        newest: the latest version of the schema that this program knows.

    Raises:
        StoreError: it cannot be read.
    """
    with file_errors(path):
        kept = _read_kept(path)
        pages = _read_pages(path, kept)
        moving = _in_wal(path)
    if 1 not in kept or 1 in moving or pages[1][_SCHEMA_COOKIE] != kept[1][_SCHEMA_COOKIE]:
        return None  # nothing was kept, or the schema is another one
    page, first = pages[1], kept[1]
    version, kept_version = (int.from_bytes(p[_VERSION], "big") for p in (page, first))
    if (
        any(page[part] != first[part] for part in _LASTING)
        or not set(page[_FORMATS]) <= {1, 2}
        or not kept_version <= version <= max(newest, kept_version)  # a new one has another schema
    ):
        return "its header was changed"
    is_same = all(
        page == _content(kept)[number]
        for number, page in _content(pages).items()
        if number not in moving
    )
    return None if is_same else "its list of tables was changed"


def copy_with_schema(path: Path, copy: Path) -> bool:
    """Copy a database and its write-ahead log, with the pages that were kept; whether some were.

    Raises:
        StoreError: there is no room for it, or it cannot be read.
    """
    with file_errors(path):
        kept = _read_kept(path)
        if 1 not in kept:
            return False
        n_pages = max(path.stat().st_size // _PAGE_BYTES, *kept)
        first = bytearray(kept[1])
        struct.pack_into(">II", first, _COUNTER, 1, n_pages)
        struct.pack_into(">II", first, _FREE_PAGES, 0, 0)
        struct.pack_into(">I", first, _VALID_FOR, 1)
        shutil.copyfile(path, copy)
        with copy.open("r+b") as file:
            file.truncate(n_pages * _PAGE_BYTES)
            for number, page in {**kept, 1: bytes(first)}.items():
                file.seek((number - 1) * _PAGE_BYTES)
                file.write(page)
        log = path.with_name(f"{path.name}-wal")
        if log.exists():
            shutil.copyfile(log, copy.with_name(f"{copy.name}-wal"))
    return True


def _in_wal(path: Path) -> set[int]:
    return pages_in(path.with_name(f"{path.name}-wal"))


def _content(pages: Pages) -> Pages:
    """Return the pages without the header."""
    return {**pages, 1: pages[1][_HEADER_BYTES:]}


def _lasting(pages: Pages) -> tuple[object, ...]:
    """Return what changes with the schema only."""
    header = [pages[1][part] for part in (*_LASTING, _SCHEMA_COOKIE, _VERSION)]
    return (_content(pages), *header)


def _read_kept(path: Path) -> Pages:
    """Return the pages that were kept of a database; none if the copy is damaged, too."""
    try:
        with path.with_name(path.name + SUFFIX).open("rb") as file:
            digest, content = file.read(32), file.read(_MAX_PAGES * _RECORD_BYTES)
    except FileNotFoundError:
        return {}
    if hashlib.sha256(content).digest() != digest:
        return {}
    places = range(0, len(content), _RECORD_BYTES)
    return {
        int.from_bytes(content[at : at + 4], "big"): content[at + 4 : at + _RECORD_BYTES]
        for at in places
    }


def _read_pages(path: Path, numbers: Pages) -> Pages:
    """Return the pages of a database that have these numbers; empty ones beyond its end."""
    if not path.exists():
        return dict.fromkeys(numbers, b"")
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return {n: os.pread(descriptor, _PAGE_BYTES, (n - 1) * _PAGE_BYTES) for n in numbers}
    finally:
        os.close(descriptor)


def _schema_pages(path: Path) -> Pages:
    """Return the first page and all below it."""
    pages: Pages = {}
    pending = [1]
    while pending and len(pages) < _MAX_PAGES:
        number = pending.pop()
        page = pages[number] = _read_pages(path, {number: b""})[number]
        head = page[_HEADER_BYTES:] if number == 1 else page
        if head[:1] == bytes([_INTERIOR]):
            n_cells = int.from_bytes(head[3:5], "big")
            pointers = [
                head[at : at + 2] for at in range(_CELL_POINTERS, _CELL_POINTERS + 2 * n_cells, 2)
            ]
            places = [int.from_bytes(pointer, "big") for pointer in pointers]
            children = [page[place : place + 4] for place in places] + [head[8:12]]
            # Half of a page that is whole in the write-ahead log may say anything.
            pending += [child for raw in children if (child := int.from_bytes(raw, "big"))]
    return pages
