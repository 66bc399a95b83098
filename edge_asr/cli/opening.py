"""How a loop opens its store: a damaged one is mended first."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from edge_asr.errors import DatabaseDamagedError, EdgeAsrError, StoreError
from edge_asr.store import Store
from edge_asr.store.mending import mend, note_suspicion

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.cli.context import Context
    from edge_asr.systemd import Notifier

_EXTENSION_S = 60.0
"""How much longer systemd is asked to wait; asked again at a third of it."""


@contextmanager
def open_store(context: Context, notifier: Notifier) -> Iterator[Store]:
    """Open the store, after its database was replaced if it is damaged.

    Raises:
        StoreError: it cannot be opened.
    """
    mended = mend(context.state_dir, alive=_Patience(notifier).ask)
    if mended is not None:
        click.echo(f"edge-asr: {mended}", err=True)
    with Store.open(context.state_dir) as store:
        try:
            yield store
        except (StoreError, ValueError) as error:
            # What ends a loop may be a row that nobody has written: look at all of them next time.
            if isinstance(error, DatabaseDamagedError) or not isinstance(error, EdgeAsrError):
                note_suspicion(context.state_dir)
            raise


class _Patience:
    """Asks systemd for more time while there is work to do before the start is over."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._next_s = 0.0

    def ask(self) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _EXTENSION_S / 3
            self._notifier.extend_timeout(_EXTENSION_S)
