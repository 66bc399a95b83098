"""Times as people type them: ``2h``, ``3d``, ``2026-11-24``, ``2026-11-24T09:30``."""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import Any

import click

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


class When(click.ParamType):
    """A moment: so long ago, or a date with or without a time (local, unless it says otherwise)."""

    name = "when"

    def convert(
        self,
        value: Any,  # noqa: ANN401 (click's own signature)
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> int:
        """Return the moment in nanoseconds since 1970-01-01 UTC."""
        if isinstance(value, int):
            return value
        if match := _AGO.fullmatch(value.strip()):
            return time.time_ns() - int(match[1]) * _UNIT_S[match[2]] * 1_000_000_000
        try:
            moment = datetime.fromisoformat(value.strip())
            return int(moment.astimezone().timestamp() * 1e6) * 1_000
        except (ValueError, OverflowError):
            self.fail(f"'{value}' is no time; write 2h, 3d, 2026-11-24 or 2026-11-24T09:30")
