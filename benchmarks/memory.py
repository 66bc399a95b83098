"""How much memory a process holds, and of what kind.

Anonymous memory is the process's own and can only be freed by it. File-backed memory is a copy of
what is on the disk: the system takes it back when something else needs it, and reads it again.
"""

from __future__ import annotations

import re
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Self

import msgspec

from benchmarks.processes import family_of

if TYPE_CHECKING:
    from types import TracebackType

_PROCESSES = Path("/proc")
_FIELD = re.compile(r"^(Rss|Anonymous):\s+(\d+) kB$", re.MULTILINE)
_EVERY_S = 0.2
_BYTES_PER_KB = 1024


class Memory(msgspec.Struct, frozen=True):
    """What a process and its children hold, in bytes."""

    resident: int
    anonymous: int

    @property
    def file_backed(self) -> int:
        """What could be read again from files."""
        return self.resident - self.anonymous


def memory_of(pid: int, *, children: bool = True) -> Memory:
    """Return what a process, with all its children or alone, holds now; nothing if it has ended.

    What processes share counts for each of them.
    """
    resident = anonymous = 0
    for each in family_of(pid) if children else [pid]:
        try:
            text = (_PROCESSES / str(each) / "smaps_rollup").read_text(encoding="ascii")
            found = dict(_FIELD.findall(text))
        except OSError:
            continue  # it has ended meanwhile
        resident += int(found.get("Rss", 0)) * _BYTES_PER_KB
        anonymous += int(found.get("Anonymous", 0)) * _BYTES_PER_KB
    return Memory(resident, anonymous)


class PeakMemory:
    """Watches a process while it runs; each figure's largest value is kept."""

    def __init__(self, pid: int, *, every_s: float = _EVERY_S) -> None:
        self._pid = pid
        self._every_s = every_s
        self._over = Event()
        self._thread = Thread(target=self._watch, daemon=True)
        self.peak = Memory(0, 0)

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End; the peak is final."""
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.is_set():
            now = memory_of(self._pid)
            self.peak = Memory(
                max(self.peak.resident, now.resident), max(self.peak.anonymous, now.anonymous)
            )
            self._over.wait(self._every_s)
