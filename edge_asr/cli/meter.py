"""A level as a bar."""

from __future__ import annotations

FLOOR_DBFS = -60.0
"""Where the bar is empty."""
CLIPPING_DBFS = -1.0
"""A peak above it is at the end of the scale: the sound is cut off there."""


def bar(rms_dbfs: float, width: int) -> str:
    """Return a bar of ``width`` characters, full at 0 dBFS and empty at -60."""
    share = 1.0 - max(rms_dbfs, FLOOR_DBFS) / FLOOR_DBFS
    filled = round(width * min(max(share, 0.0), 1.0))
    return "█" * filled + "░" * (width - filled)
