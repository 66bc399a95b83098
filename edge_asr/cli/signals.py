"""What signals do to a loop: it ends, is muted, or begins anew."""

from __future__ import annotations

import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType


def stop_event(*, also_when_stdin_closes: bool = False) -> threading.Event:
    """Return an event that SIGTERM, SIGINT or SIGHUP sets; the handlers do nothing else.

    SIGHUP, of a terminal that was closed, does so unless it is ignored (``nohup``).

    A thread sets it, not the handler: a handler interrupts the main thread anywhere, also inside
    the event's own ``wait`` while that holds the event's lock, and would wait for it forever.

    Args:
        also_when_stdin_closes: also when standard input ends. A parent holds its other end: so a
            child ends in good order when it is told to, and when its parent dies.
    """
    stop = threading.Event()
    taken: SimpleQueue[int] = SimpleQueue()  # its put is reentrant, as the library promises

    def handle(number: int, _frame: FrameType | None) -> None:
        taken.put(number)

    threading.Thread(target=_set_at_first, args=(stop, taken), daemon=True).start()

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, handle)
    if also_when_stdin_closes:
        threading.Thread(target=_set_at_end_of_stdin, args=(stop,), daemon=True).start()
    return stop


def _set_at_first(stop: threading.Event, taken: SimpleQueue[int]) -> None:
    taken.get()
    stop.set()


def _set_at_end_of_stdin(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()
    # Wake the main thread out of whatever it waits for.
    os.kill(os.getpid(), signal.SIGTERM)


def hold_usr1() -> None:
    """Let a SIGUSR1 wait until :func:`on_usr1`: it would end a process that is still starting."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})


def on_usr1(act: Callable[[], None]) -> None:
    """Call ``act`` at each SIGUSR1, in the main thread, between two of its steps."""

    def handle(_signal: int, _frame: FrameType | None) -> None:
        act()

    signal.signal(signal.SIGUSR1, handle)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})


def begin_anew() -> NoReturn:
    """Start this same command again, in this process: whoever watches over it sees no end."""
    os.execv(sys.executable, [sys.executable, "-m", "edge_asr.cli", *sys.argv[1:]])  # noqa: S606
