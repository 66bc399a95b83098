"""The process's heap: when memory that was freed goes back to the system.

By itself glibc keeps what was freed once, up to 32 MB, for the next block of that size; but the
caches of an utterance differ in size, and what lies between them keeps the heap from shrinking.
Other C libraries decide for themselves.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from functools import cache

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_MUCH_BYTES = 8 << 20
"""With far less, an encoder's working memory goes and comes many times in an utterance, page by
page: with one thread that took 7 % of its time."""


@cache
def give_back_early() -> None:
    """From now on, let the system have what is free once it is much; see mallopt(3)."""
    with suppress(AttributeError, OSError):  # another C library
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _MUCH_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _MUCH_BYTES)


def give_back() -> None:
    """Let the system have all that is free now, in some milliseconds; see malloc_trim(3)."""
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
