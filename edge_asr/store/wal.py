"""A damaged write-ahead log: SQLite says nothing of it, and goes on without what it cannot read.

Of a log that ends in the middle, as a power cut leaves it, that is right: the last transaction was
not synchronised, so nobody was told of it. But each transaction is synchronised before the next one
begins. Where a second one follows the frame that cannot be read, the first was safe on disk, and
was damaged later.

The format is that of https://sqlite.org/fileformat2.html#the_write_ahead_log: a header of 32 bytes,
then frames, each a header of 24 bytes and a page; both headers carry the log's two salts, and each
frame the sum over all before it. Frames with other salts are left from an earlier round.
"""

from __future__ import annotations

import struct
from collections import Counter
from itertools import count
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADER_BYTES = 32
_FRAME_HEADER_BYTES = 24
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}
"""First word of the header -> byte order of what is summed up."""
_PAGE_BYTES = 4096
"""Where the header cannot say it: SQLite's default, which this store keeps."""
_NO_COMMIT = bytes(4)
_MAX_FRAMES = 10_000
"""To look at: 40 MB and two seconds; the log is folded into the database every 100 frames."""
_UNSYNCHRONISED = 1
"""How many transactions at most may be unreadable without any damage."""

_Frame = tuple[bytes, bytes]
"""Its header, its page."""


def wal_damage(path: Path) -> str | None:
    """Return what is wrong with the write-ahead log ``path``, or None.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            n_lost = _n_lost_transactions(file)
    except FileNotFoundError:
        return None
    if n_lost <= _UNSYNCHRONISED:
        return None
    return f"its write-ahead log is damaged: {n_lost} transactions in it cannot be read"


def pages_in(path: Path) -> set[int]:
    """Return the numbers of the pages of which the log ``path`` may have a newer content.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            file.seek(_HEADER_BYTES)
            return {int.from_bytes(frame[:4], "big") for frame, _ in _frames(file, _PAGE_BYTES)}
    except FileNotFoundError:
        return set()


def _n_lost_transactions(file: BinaryIO) -> int:
    """Return how many transactions there are from the first frame on that SQLite cannot read."""
    header = file.read(_HEADER_BYTES)
    order = _MAGIC.get(int.from_bytes(header[:4], "big"), "")
    salts, sums = header[16:24], (0, 0)
    is_header_sound = is_sound = len(header) == _HEADER_BYTES and order != ""
    if is_sound:
        sums = _summed(order, header[:24], sums)
        is_header_sound = is_sound = header[24:] == struct.pack(">II", *sums)
    page_bytes = int.from_bytes(header[8:12], "big") if is_sound else _PAGE_BYTES
    lost: Counter[bytes] = Counter()
    for frame, page in _frames(file, page_bytes):
        if is_sound:
            sums = _summed(order, page, _summed(order, frame[:8], sums))
            is_sound = frame[8:] == salts + struct.pack(">II", *sums)
        if not is_sound and frame[4:8] != _NO_COMMIT:
            lost[frame[8:16]] += 1
    return lost[salts] if is_header_sound else max(lost.values(), default=0)


def _frames(file: BinaryIO, page_bytes: int) -> Iterator[_Frame]:
    for number in count():
        frame, page = file.read(_FRAME_HEADER_BYTES), file.read(page_bytes)
        if len(page) < page_bytes or number >= _MAX_FRAMES:
            return
        yield frame, page


def _summed(order: str, content: bytes, sums: tuple[int, int]) -> tuple[int, int]:
    first, second = sums
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for even, odd in zip(words[::2], words[1::2], strict=True):
        first = (first + even + second) & 0xFFFFFFFF
        second = (second + odd + first) & 0xFFFFFFFF
    return first, second
