"""Connections to the log: a few that read, and one that writes a person's corrections.

SQLite is asked in threads, so that the event loop never waits for the disk; in few, so that however
many clients ask, little of the machine is taken from listening.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from edge_asr.errors import StoreError
from edge_asr.serve.problems import BUSY, ProblemError
from edge_asr.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

T = TypeVar("T")

N_READERS = 3
MAX_WAITING = 400
"""Questions that wait for a connection; more are refused."""


class Readers:
    """Asks the log.

    Args:
        state_dir: where it is.
        n_threads: how many questions are answered at once.
        readonly: False for one that writes.
    """

    def __init__(
        self, state_dir: Path, *, n_threads: int = N_READERS, readonly: bool = True
    ) -> None:
        self._state_dir = state_dir
        self._readonly = readonly
        self._threads = ThreadPoolExecutor(n_threads, thread_name_prefix="log")
        self._own = threading.local()
        self._opened: list[Store] = []
        self._n_waiting = 0

    async def ask(self, question: Callable[[Store], T]) -> T:
        """Return what ``question`` makes of the log; it runs in a thread, one of few.

        Raises:
            StoreError: the log cannot be read.
            ProblemError: too many wait already.
        """
        if self._n_waiting >= MAX_WAITING:
            raise ProblemError(BUSY, "too many ask at once; ask again in a moment")
        self._n_waiting += 1
        try:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._threads, self._answer, question)
        finally:
            self._n_waiting -= 1

    def close(self) -> None:
        """Close the connections; nobody asks any more."""
        self._threads.shutdown(wait=True, cancel_futures=True)
        for store in self._opened:
            with contextlib.suppress(StoreError):
                store.close()
        self._opened.clear()

    def _answer(self, question: Callable[[Store], T]) -> T:
        store: Store | None = getattr(self._own, "store", None)
        if store is None:
            store = Store.open(self._state_dir, readonly=self._readonly)
            self._opened.append(store)
            self._own.store = store
        return question(store)
