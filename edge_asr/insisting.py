"""Writing to a disk that refuses: again and again, and whoever looks on is told."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from edge_asr.alarms import AlarmChange, AlarmCode
from edge_asr.errors import DiskRefusesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.alarming import AlarmBook

T = TypeVar("T")

RETRY_S = 0.5
"""How soon a disk that refused is asked again."""


class Insister:
    """Writes until the disk takes it. The alarm is told of at once, and logged when it can be.

    Args:
        alarms: where the alarm is logged.
        source: whose alarm it is; empty: the whole appliance's.
        observe: is told of the alarm.
        gives_up: whether a write that was refused is not to be tried again.
        meanwhile: is called at each refusal: a disk that answers is none that hangs.
    """

    def __init__(
        self,
        alarms: AlarmBook,
        source: str,
        observe: Callable[[AlarmChange], None],
        *,
        gives_up: Callable[[], bool],
        meanwhile: Callable[[], None],
    ) -> None:
        self._alarms = alarms
        self._source = source
        self._observe = observe
        self._gives_up = gives_up
        self._meanwhile = meanwhile
        self._refused: tuple[str, float] | None = None
        """What the disk said first, and when."""

    def write(self, write: Callable[[], T]) -> T:
        """Call ``write`` until it succeeds, and return what it does.

        Raises:
            StoreError: it is no matter of time, or it is time to give up.
        """
        while True:
            try:
                done = write()
            except DiskRefusesError as error:
                if self._gives_up():
                    raise
                self._say_it_refuses(str(error))
                self._meanwhile()
                time.sleep(RETRY_S)
            else:
                self._say_it_takes()
                return done

    def _say_it_refuses(self, why: str) -> None:
        """Say so, once, to whoever observes: the log cannot take it now."""
        if self._refused is None:
            self._refused = (why, time.monotonic())
            self._observe(
                AlarmChange(AlarmCode.DISK_REFUSES, active=True, detail=why, source=self._source)
            )

    def _say_it_takes(self) -> None:
        """Write down that the disk refused, and that it is over."""
        if self._refused is not None:
            (why, since_s), self._refused = self._refused, None
            over = f"the disk took what had waited for {time.monotonic() - since_s:.0f} s"
            self._alarms.take([AlarmChange(AlarmCode.DISK_REFUSES, active=True, detail=why)])
            self._alarms.take([AlarmChange(AlarmCode.DISK_REFUSES, active=False, detail=over)])
