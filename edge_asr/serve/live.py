"""What happens at this moment: told by the loops, and noticed in the database.

While nobody looks on, nothing is done: the loops are not listened to, the database not asked.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from edge_asr.errors import StoreError
from edge_asr.serve.problems import BUSY, ProblemError
from edge_asr.serve.readers import Readers
from edge_asr.store.doorbell import Doorbell
from edge_asr.store.feed import Onlooker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

MAX_ONLOOKERS = 64
LOOK_S = 0.25
"""How often it is asked whether the database has changed."""
PASSING = ("level", "partial", "status")
"""Kinds of events that stand nowhere; all others are read from the database."""
_MAX_UNTOLD = 64
"""Of a client that is slow: of what only passes by, it misses the oldest."""


class Look:
    """What one client has not been told yet."""

    def __init__(self) -> None:
        self._passing: deque[dict[str, Any]] = deque(maxlen=_MAX_UNTOLD)
        self._log_changed = True
        self._something = asyncio.Event()

    def tell(self, event: dict[str, Any]) -> None:
        """Take in what only passes by."""
        self._passing.append(event)
        self._something.set()

    def log_changed(self) -> None:
        """Take note that there may be news in the log."""
        self._log_changed = True
        self._something.set()

    async def wait(self, timeout_s: float) -> tuple[list[dict[str, Any]], bool]:
        """Return what passed by, and whether the log changed, once there is anything."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._something.wait()
        except TimeoutError:
            return [], False
        self._something.clear()
        passed, self._passing = list(self._passing), deque(maxlen=_MAX_UNTOLD)
        changed, self._log_changed = self._log_changed, False
        return passed, changed


class Live:
    """Looks on for all clients.

    Args:
        state_dir: whose loops and whose database.
        name: of the onlooker, where there are several servers.
    """

    def __init__(self, state_dir: Path, name: str) -> None:
        self._state_dir = state_dir
        self._name = name
        self._looks: set[Look] = set()
        self._task: asyncio.Task[None] | None = None
        self._is_over = asyncio.Event()

    @property
    def is_over(self) -> bool:
        """Whether the server is about to end."""
        return self._is_over.is_set()

    def end(self) -> None:
        """Let all clients go."""
        self._is_over.set()
        for look in self._looks:
            look.log_changed()

    @asynccontextmanager
    async def looking(self) -> AsyncIterator[Look]:
        """Look on from now on.

        Raises:
            ProblemError: too many do.
        """
        if len(self._looks) >= MAX_ONLOOKERS:
            sentence = f"{MAX_ONLOOKERS} clients follow the events already; try later"
            raise ProblemError(BUSY, sentence)
        look = Look()
        self._looks.add(look)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._follow())
        try:
            yield look
        finally:
            self._looks.discard(look)

    async def _follow(self) -> None:
        """Look on until nobody does any more."""
        readers = Readers(self._state_dir, n_threads=1)
        loop = asyncio.get_running_loop()
        version = None
        try:
            with Onlooker(self._state_dir, self._name) as onlooker:
                loop.add_reader(onlooker.fileno(), self._hear, onlooker)
                try:
                    Doorbell(self._state_dir).ring()  # the recognizer may read along from now on
                    while self._looks:
                        found = await self._data_version(readers)
                        if found != version:
                            version = found
                            self._log_changed()
                        await asyncio.sleep(LOOK_S)
                finally:
                    loop.remove_reader(onlooker.fileno())
        finally:
            await asyncio.to_thread(readers.close)

    async def _data_version(self, readers: Readers) -> int | None:
        try:
            return await readers.ask(lambda store: store.data_version)
        except StoreError:  # whoever reads the log meets it there
            return None

    def _hear(self, onlooker: Onlooker) -> None:
        for message in onlooker.messages():
            try:
                event = json.loads(message)
            except ValueError:
                continue
            if event.get("event") in PASSING:
                for look in self._looks:
                    look.tell(event)
            else:
                self._log_changed()

    def _log_changed(self) -> None:
        for look in self._looks:
            look.log_changed()
