"""A recognizer that has run for long begins anew while nothing waits: what leaks, leaks no more.

Libraries that compute for months keep memory that they do not need any more, or lose some of it. A
new start costs seconds and no utterance: sound waits on disk.
"""

from __future__ import annotations

import time
from pathlib import Path

YOUNGEST_S = 600.0
"""A process that is younger is not judged by its memory: a model that is larger than the limit must
not start again and again."""
_STATUS = Path("/proc/self/status")
_S_PER_H = 3_600.0


class Recycling:
    """Says when a process is worn out.

    Args:
        after_h: hours after which it is; 0: never for its age.
        above_mb: memory of its own, in MB, above which it is; 0: never for its memory. What is
            mapped from disk does not count: the system takes that back when it needs room.
    """

    def __init__(self, after_h: float, above_mb: int) -> None:
        self._after_s = after_h * _S_PER_H
        self._above_mb = above_mb
        self._began_s = time.monotonic()

    def is_due(self) -> bool:
        """Say whether the process should begin anew."""
        age_s = time.monotonic() - self._began_s
        if self._after_s and age_s > self._after_s:
            return True
        return bool(self._above_mb) and age_s > YOUNGEST_S and own_memory_mb() > self._above_mb


def own_memory_mb() -> float:
    """Return how much memory this process has that is not mapped from disk, in MB."""
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0
