"""The switch that mutes a listener: a file that commands make and remove, and a signal."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from edge_asr.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.store.mutes import Mutes

RETRY_S = 1.0
"""How soon a disk that would not keep a mute is asked again."""


class MuteSwitch:
    """Whether a source is muted now, for the thread that hears it.

    A signal mutes at once, in memory; the file is made right after. Until that is done, the signal
    holds and not the file.

    Args:
        mutes: what is kept.
        source: the source's name.
        complain: is told when a mute cannot be kept.
    """

    def __init__(self, mutes: Mutes, source: str, complain: Callable[[str], None]) -> None:
        self._mutes = mutes
        self._source = source
        self._complain = complain
        self._muted = self._on_disk = mutes.is_muted(source)
        self._is_kept = True
        self._asked_s = 0.0
        self._acts: deque[bool] = deque()
        """What was done by signal and is not in the log yet."""

    def toggle(self) -> None:
        """Mute, or unmute. It touches no disk: a signal handler may call it."""
        self._muted = not self._muted
        self._acts.append(self._muted)
        self._asked_s = 0.0
        self._is_kept = False

    def is_muted(self) -> bool:
        """Say whether it is; called by the thread that hears, for all that it hears."""
        try:
            if self._is_kept:
                self._look()
            elif time.monotonic() - self._asked_s >= RETRY_S:
                self._keep()
        except StoreError as error:
            self._complain(f"whether {self._source} is muted could not be kept or read: {error}")
        return self._muted

    def log(self) -> None:
        """Write down what was done by signal; called by the thread that uses the store.

        Raises:
            StoreError: the disk refuses; asked again, it goes on where it was.
        """
        while self._acts:
            self._mutes.record(self._source, muted=self._acts[0], by="signal")
            self._acts.popleft()

    def _look(self) -> None:
        on_disk = self._mutes.is_muted(self._source, before=self._on_disk)
        if on_disk != self._on_disk:
            self._muted = self._on_disk = on_disk

    def _keep(self) -> None:
        self._asked_s = time.monotonic()
        muted = self._muted
        self._mutes.keep(self._source, muted=muted)
        self._on_disk = muted
        self._is_kept = muted == self._muted  # another signal may have come meanwhile
