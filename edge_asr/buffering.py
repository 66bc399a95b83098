"""Sound waits in memory while the disk is slow or refuses.

A source is heard in one thread, what it delivers is stored in another. Between the two is a queue
that holds a stated number of seconds. A live source never waits: beyond the bound its sound is
lost, and a gap says how much. A file waits.

There is a sign of life only while both threads get on: each of the hearing one's counts for nothing
until the storing one has moved since the last.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from edge_asr.records import AudioChunk, Gap, GapKind, Instant, SourceStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Item = AudioChunk | Gap | SourceStatus

LIVE_BOUND_S = 300.0
"""Seconds of sound kept in memory while the disk refuses: 19 MB as float32."""
FILE_BOUND_S = 2.0
_WHY = "the disk refused sound for longer than memory holds"
_POLL_S = 0.5


class Buffer:
    """The queue between hearing and storing.

    Args:
        take: stores an item; the second argument is when it arrived, ``CLOCK_MONOTONIC``
            nanoseconds. It runs in a thread of its own, and its error ends :meth:`pour`.
        live: the source does not wait.
        bound_s: seconds of sound the queue holds.
    """

    def __init__(
        self, take: Callable[[Item, int], None], *, live: bool, bound_s: float | None = None
    ) -> None:
        self._take = take
        self._live = live
        self._bound_s = bound_s or (LIVE_BOUND_S if live else FILE_BOUND_S)
        self._items: deque[tuple[Item, int]] = deque()
        self._changed = threading.Condition()
        self._held_s = 0.0
        self._lost_start: Instant | None = None
        self._lost_s = 0.0
        self._finished = False
        self._failure: BaseException | None = None
        self._has_moved = False
        """Whether storing got on since the last sign of life."""

    @property
    def held_s(self) -> float:
        """Seconds of sound that wait to be stored."""
        return self._held_s

    @property
    def source_ended(self) -> bool:
        """Whether nothing more will come."""
        return self._finished

    def pour(self, source: Iterable[Item], alive: Callable[[], None]) -> None:
        """Hear ``source`` to its end, and return when all of it was taken.

        Args:
            source: what is heard; iterated in the calling thread.
            alive: is called at signs of life from it, while storing gets on too.

        Raises:
            BaseException: what ``take`` raised.
        """
        worker = threading.Thread(target=self._work, name="store", daemon=True)
        worker.start()
        try:
            for item in source:
                self._put(item)
                if self._failure is not None:
                    break
                self._tell_if_moved(alive)
        finally:
            with self._changed:
                self._put_lost()
                self._finished = True
                self._changed.notify_all()
            while worker.is_alive():
                worker.join(_POLL_S)
                self._tell_if_moved(alive)
        if self._failure is not None:
            raise self._failure

    def moved(self) -> None:
        """Take note that storing got on: for a ``take`` that asks a disk again and again."""
        self._has_moved = True

    def _tell_if_moved(self, alive: Callable[[], None]) -> None:
        if self._has_moved:
            self._has_moved = False
            alive()

    def _put(self, item: Item) -> None:
        arrived_ns = time.monotonic_ns()
        seconds = item.duration_s if isinstance(item, AudioChunk) else 0.0
        with self._changed:
            while not self._live and self._held_s > self._bound_s and self._failure is None:
                self._changed.wait(_POLL_S)
            if isinstance(item, AudioChunk) and self._held_s + seconds > self._bound_s:
                self._lost_start = self._lost_start or item.start
                self._lost_s += seconds
                if self._live:
                    return
            self._put_lost()
            self._items.append((item, arrived_ns))
            self._held_s += seconds
            self._changed.notify_all()

    def _put_lost(self) -> None:
        if self._lost_start is not None and self._live:
            gap = Gap(GapKind.OVERFLOW, self._lost_start, self._lost_s, _WHY)
            self._items.append((gap, time.monotonic_ns()))
        self._lost_start, self._lost_s = None, 0.0

    def _work(self) -> None:
        try:
            while True:
                with self._changed:
                    while not self._items and not self._finished:
                        self.moved()  # there is nothing to do
                        self._changed.wait(_POLL_S)
                    if not self._items:
                        return
                    item, arrived_ns = self._items[0]
                self._take(item, arrived_ns)
                self.moved()
                with self._changed:
                    self._items.popleft()
                    if isinstance(item, AudioChunk):
                        self._held_s = max(0.0, self._held_s - item.duration_s)
                    self._changed.notify_all()
        except BaseException as error:  # noqa: BLE001 (it is raised in the other thread)
            with self._changed:
                self._failure = error
                self._changed.notify_all()
