"""The doorbell: ``listen`` rings, ``recognize`` wakes up.

A datagram socket in the state directory. A lost ring costs seconds, never an utterance: what is
pending stands in the database, and nobody waits without end.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SOCKET = "recognize.sock"
POLL_S = 1.0
"""Where no socket can be made, how long a wait lasts at most."""


class Doorbell:
    """Rings, or waits for a ring."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._socket: socket.socket | None = None

    def ring(self) -> None:
        """Wake whoever waits. If nobody does, or it cannot be done, nothing happens."""
        with contextlib.suppress(OSError), _socket() as sender, self._address() as address:
            sender.sendto(b"!", address)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Hear rings from now on, also while not waiting. Signals to this process ring too."""
        with contextlib.suppress(OSError):
            self._socket = self._bind()
        try:
            with self._signals_ringing():
                yield
        finally:
            if self._socket is not None:
                self._socket.close()
                self._socket = None
                with contextlib.suppress(OSError):  # the next one takes it away
                    (self._state_dir / SOCKET).unlink(missing_ok=True)

    def wait(self, timeout_s: float) -> bool:
        """Wait for a ring, or the time out; whether it rang since the last wait."""
        if self._socket is None:
            time.sleep(min(timeout_s, POLL_S))
            return False
        rang = bool(select.select([self._socket], [], [], timeout_s)[0])
        with contextlib.suppress(BlockingIOError):
            while True:  # many rings are one
                self._socket.recv(1)
        return rang

    def _bind(self) -> socket.socket:
        bell = _socket()
        try:
            (self._state_dir / SOCKET).unlink(missing_ok=True)  # of a recognizer that died
            with self._address() as address:
                bell.bind(address)
            (self._state_dir / SOCKET).chmod(0o600)
        except OSError:
            bell.close()
            raise
        return bell

    @contextmanager
    def _signals_ringing(self) -> Iterator[None]:
        """Let a signal end a wait: Python's handler alone would let it run to its end."""
        if self._socket is None or threading.current_thread() is not threading.main_thread():
            yield
            return
        with _socket() as ringer:
            with self._address() as address:
                ringer.connect(address)
            previous = signal.set_wakeup_fd(ringer.fileno(), warn_on_full_buffer=False)
            try:
                yield
            finally:
                signal.set_wakeup_fd(previous)

    @contextmanager
    def _address(self) -> Iterator[str]:
        """Give a short path: the address of a socket may have 107 bytes, a directory's has more."""
        directory = os.open(self._state_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield f"/proc/self/fd/{directory}/{SOCKET}"
        finally:
            os.close(directory)


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
