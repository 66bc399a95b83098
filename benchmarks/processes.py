"""What a process and its children have taken of the processor, by the kernel's account."""

from __future__ import annotations

import os
from pathlib import Path

_PROCESSES = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_UTIME, _STIME = 11, 12
"""Places in /proc/PID/stat, counted after the command's name (proc(5): fields 14 and 15)."""


def cpu_s(pid: int) -> float:
    """Return the processor time of one process, all its threads, in seconds; 0 if it has ended."""
    try:
        text = (_PROCESSES / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()
    return (int(fields[_UTIME]) + int(fields[_STIME])) * _TICK_S


def family_of(pid: int) -> list[int]:
    """Return a process and all its descendants that live now, the oldest first."""
    found, pending = [], [pid]
    while pending:
        each = pending.pop(0)
        try:
            tasks = [task / "children" for task in (_PROCESSES / str(each) / "task").iterdir()]
            pending += [int(child) for task in sorted(tasks) for child in task.read_text().split()]
        except OSError:  # it has ended
            continue
        found.append(each)
    return found
