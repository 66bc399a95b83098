"""The metrics as a file, for a board without an open port: node_exporter's textfile collector."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.bridges.counted import keep_totals, read_totals
from edge_asr.bridges.metrics import metrics_text
from edge_asr.store.files import file_errors, replace_file

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.config import Config
    from edge_asr.store import Store

_READABLE_BY_ALL = 0o644


def write_textfile(store: Store, config: Config, path: Path) -> None:
    """Write all metrics into a file, which is there as a whole at any time.

    Raises:
        StoreError: the log cannot be read, or the file not be written.
    """
    totals = read_totals(store.state_dir)
    written = metrics_text(store, config, totals)
    keep_totals(store.state_dir, totals)
    with file_errors(path):
        # Another user's program reads it. There is no spoken word in it.
        replace_file(path, written, mode=_READABLE_BY_ALL, durable=False)
