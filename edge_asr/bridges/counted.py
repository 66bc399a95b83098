"""What was counted of the log so far, kept beside it.

A log of years is so read once, not at every start; and what retention or a redaction removes later
goes on being counted, so that no sum ever shrinks.
"""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

from edge_asr.bridges.following import FOLDER
from edge_asr.errors import StoreError
from edge_asr.store.files import OWNER_ONLY, make_directory, replace_file
from edge_asr.store.totals import Totals

if TYPE_CHECKING:
    from pathlib import Path

KEEP_S = 600.0
"""It is written so often at most: a card wears out, and what is younger is soon counted again."""


def read_totals(state_dir: Path) -> Totals:
    """Return what was counted before; nothing, where nothing can be read."""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        return Totals.parsed(_path(state_dir).read_text(encoding="utf-8"))
    return Totals()


def keep_totals(state_dir: Path, totals: Totals) -> None:
    """Keep it, unless that was done a while ago. A disk that refuses is no reason to complain."""
    path = _path(state_dir)
    with contextlib.suppress(OSError, StoreError):
        age_s = time.time() - path.stat().st_mtime if path.exists() else KEEP_S
        if 0 <= age_s < KEEP_S:  # a clock that was set back does not stop it for ever
            return
        make_directory(path.parent)
        replace_file(path, totals.as_json().encode(), mode=OWNER_ONLY, durable=False)


def _path(state_dir: Path) -> Path:
    return state_dir / FOLDER / "metrics.json"
