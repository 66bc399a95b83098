"""Weights that are looked up, not multiplied: their pages go back to the system after use.

A prepared graph's weights are mapped from a file. Of the table that has a row for each token an
utterance reads a few dozen rows, but the kernel maps 64 KiB around each, and keeps them: after some
utterances all of it counts as resident.
"""

from __future__ import annotations

import ctypes
import re
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

SMALLEST_TABLE = 32 << 20
"""In bytes. What the Whispers of this project multiply is smaller. Larger weights of another model
would be mapped anew at the next step, at some cost and without harm."""
_MADV_DONTNEED = 4
_RANGE = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) .{4} \S+ \S+ \S+ +(.*)$")
_OWN = re.compile(r"^Anonymous: +(\d+) kB")


class MappedTable:
    """A large range of a file that this process has mapped and has not written to."""

    def __init__(self, address: int, n_bytes: int) -> None:
        self._address = address
        self._n_bytes = n_bytes

    @classmethod
    def find(cls, path: Path, smaps: Path) -> Self | None:
        """Return the largest range of a file that is large enough, or None.

        Args:
            path: of the file.
            smaps: how the kernel tells of this process's memory: ``/proc/self/smaps``.
        """
        largest: tuple[int, int] | None = None
        here: tuple[int, int] | None = None
        try:
            lines = smaps.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError:  # no Linux
            return None
        for line in lines:
            if found := _RANGE.match(line):
                first, end = int(found[1], 16), int(found[2], 16)
                here = (end - first, first) if found[3] == str(path) else None
            # Pages of our own, written to, would be lost.
            elif here and (own := _OWN.match(line)) and own[1] == "0":
                largest = max(largest or here, here)
        if largest is None or largest[0] < SMALLEST_TABLE:
            return None
        return cls(largest[1], largest[0])

    def give_back(self) -> None:
        """Have the system forget that this process uses it; what is read next is mapped anew.

        Only while the file is mapped there.
        """
        with suppress(AttributeError, OSError):  # another C library
            ctypes.CDLL(None).madvise(
                ctypes.c_void_p(self._address), ctypes.c_size_t(self._n_bytes), _MADV_DONTNEED
            )
