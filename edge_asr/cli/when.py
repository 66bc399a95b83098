"""Times as people type them: ``2h``, ``3d``, ``2026-11-24``, ``2026-11-24T09:30``."""

from __future__ import annotations

import re
import time
from datetime import datetime

import click

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])", re.ASCII)
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def when(typed: str) -> int:
    """Return a moment in nanoseconds since 1970-01-01 UTC.

    It is so long ago, or a date with or without a time: local, unless it says otherwise.

    Raises:
        click.BadParameter: it is neither.
    """
    if match := _AGO.fullmatch(typed.strip()):
        return time.time_ns() - int(match[1]) * _UNIT_S[match[2]] * 1_000_000_000
    try:
        moment = datetime.fromisoformat(typed.strip()).astimezone()
        return round(moment.timestamp() * 1e6) * 1_000
    except (ValueError, OverflowError) as error:
        raise click.BadParameter(
            f"'{typed}' is no time; write 2h, 3d, 2026-11-24 or 2026-11-24T09:30",
        ) from error
