"""The metrics as a file, for a board without an open port: node_exporter's textfile collector.

Each call is a process of its own, so what was counted is kept beside the file: a log of years is
read once, not every minute.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from edge_asr.bridges.metrics import metrics_text
from edge_asr.store.files import OWNER_ONLY, file_errors, replace_file
from edge_asr.store.totals import Totals

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.config import Config
    from edge_asr.store import Store

COUNTED = ".counted"
"""What the name of the file beside it ends with; collectors only read ``*.prom``."""
_READABLE_BY_ALL = 0o644


def write_textfile(store: Store, config: Config, path: Path) -> None:
    """Write all metrics into a file, which is there as a whole at any time.

    Raises:
        StoreError: the log cannot be read, or the file not be written.
    """
    beside = path.with_name(path.name + COUNTED)
    kept = ""
    with contextlib.suppress(OSError, UnicodeDecodeError):
        kept = beside.read_text(encoding="utf-8")
    totals = Totals.parsed(kept)
    written = metrics_text(store, config, totals)
    with file_errors(path):
        # Another user's program reads it. There is no spoken word in it.
        replace_file(path, written, mode=_READABLE_BY_ALL, durable=False)
        counted = totals.as_json().encode()
        replace_file(beside, counted, mode=OWNER_ONLY, durable=False)
