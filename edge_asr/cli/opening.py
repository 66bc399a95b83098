"""How a loop opens its store: a damaged one is mended first, a full disk is waited for."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

import click

from edge_asr.alarms import AlarmChange, AlarmCode
from edge_asr.cli.saying import say
from edge_asr.clock import now
from edge_asr.errors import DatabaseDamagedError, DiskRefusesError, EdgeAsrError, StoreError
from edge_asr.store import Store
from edge_asr.store.mending import mend, note_suspicion
from edge_asr.store.reserve import give_up_reserve, lay_up_reserve

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from edge_asr.cli.context import Context
    from edge_asr.systemd import Notifier

T = TypeVar("T")

RETRY_S = 1.0
"""How soon a disk that refused is asked again."""
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
        say(f"edge-asr: {mended}")
    with Store.open(context.state_dir) as store:
        try:
            yield store
        except (StoreError, ValueError) as error:
            # What ends a loop may be a row that nobody has written: look at all of them next time.
            if isinstance(error, DatabaseDamagedError) or not isinstance(error, EdgeAsrError):
                note_suspicion(context.state_dir)
            raise


@contextmanager
def opened_when_there_is_room(
    context: Context,
    notifier: Notifier,
    stop: threading.Event,
    show: Callable[[AlarmChange], None],
    claim: Callable[[Store, ExitStack], T],
    *,
    waits: bool,
) -> Iterator[tuple[Store, T]]:
    """Open the store as :func:`open_store` does; while the disk refuses, say so and try again.

    A reserve is given up first, and laid up again where there is plenty of room.

    Args:
        context: which store.
        notifier: is told that the start is over, and how it is: a full disk is a state.
        stop: ends the waiting, and the program.
        show: is told of the alarm when it begins and ends; the log has it once it can be written.
        claim: what else needs the disk at a start: locks to enter, repairs.
        waits: whether to wait at all; whoever asked for a task with an end wants the sentence.

    Raises:
        StoreError: it cannot be opened, and that is no matter of time.
    """
    refused: tuple[str, float] | None = None
    with ExitStack() as stack:
        while True:
            with ExitStack() as attempt:
                try:
                    store = attempt.enter_context(open_store(context, notifier))
                    claimed = claim(store, attempt)
                    if refused is not None:
                        show(_write_down(store, *refused))
                except DiskRefusesError as error:
                    if not waits:
                        raise
                    if give_up_reserve(context.state_dir):
                        continue
                    if refused is None:
                        refused = (str(error), time.monotonic())
                        show(AlarmChange(AlarmCode.DISK_REFUSES, active=True, detail=str(error)))
                        notifier.ready(f"waiting for the disk: {error}")
                else:
                    stack.push(attempt.pop_all())
                    break
            notifier.alive()  # a disk that answers is none that hangs
            if stop.wait(RETRY_S):
                notifier.stopping()
                raise click.exceptions.Exit
        with suppress(StoreError):
            lay_up_reserve(context.state_dir)
        yield store, claimed


def _write_down(store: Store, why: str, since_s: float) -> AlarmChange:
    """Write the alarm down, and that it is over; return the latter.

    Raises:
        StoreError: the disk refuses again.
    """
    waited = f"nothing was heard or transcribed here for {time.monotonic() - since_s:.0f} s"
    store.alarms.raise_alarm(AlarmCode.DISK_REFUSES, "", why, moment=now())
    store.alarms.clear_alarm(AlarmCode.DISK_REFUSES, "", waited, moment=now())
    return AlarmChange(AlarmCode.DISK_REFUSES, active=False, detail=waited)


class _Patience:
    """Asks systemd for more time while there is work to do before the start is over."""

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._next_s = 0.0

    def ask(self) -> None:
        if time.monotonic() >= self._next_s:
            self._next_s = time.monotonic() + _EXTENSION_S / 3
            self._notifier.extend_timeout(_EXTENSION_S)
            self._notifier.alive()
