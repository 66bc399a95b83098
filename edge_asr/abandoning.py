"""Work that is broken off when nobody needs it any more, in the middle of a graph.

A partial text is worth nothing once its utterance has ended, and the final one should not wait for
it. No recognizer needs to know: the runtime looks at its options between two nodes of a graph, and
gives up when they say so.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LOOK_S = 0.05


class AbandonedError(Exception):
    """Work was broken off as had been asked. It is no failure, and never shown."""


class Stoppable(Protocol):
    """The options of a run."""

    terminate: bool
    """Set while it runs, it makes the run fail soon."""


class _Watch:
    """Asks, in a thread of its own, until the answer is yes or the work is done."""

    def __init__(self, is_over: Callable[[], bool]) -> None:
        self._is_over = is_over
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._run: Stoppable | None = None
        self.has_stopped = False
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def take(self, run: Stoppable) -> None:
        """Take over the run that begins."""
        with self._lock:
            self._run = run
            run.terminate = self.has_stopped

    def end(self) -> None:
        self._done.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._done.wait(_LOOK_S):
            if self._is_over():
                with self._lock:
                    self.has_stopped = True
                    if self._run is not None:
                        self._run.terminate = True
                return


_watches: list[_Watch] = []


@contextmanager
def abandoned_when(is_over: Callable[[], bool]) -> Iterator[None]:
    """Break off the runs of graphs within, once ``is_over`` says so.

    Args:
        is_over: is asked twenty times a second, in another thread.

    Raises:
        AbandonedError: it said so, and something was broken off.
    """
    watch = _Watch(is_over)
    _watches.append(watch)
    try:
        yield
    except Exception as error:
        if watch.has_stopped:
            raise AbandonedError from error
        raise
    finally:
        _watches.remove(watch)
        watch.end()


def is_watched() -> bool:
    """Return whether runs may be broken off."""
    return bool(_watches)


def watch(run: Stoppable) -> None:
    """Have a run broken off when that time comes; one at a time."""
    for each in _watches:
        each.take(run)
