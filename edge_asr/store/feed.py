"""The feed: what the loops tell as it happens, to whoever looks on at this moment.

Each onlooker has a datagram socket in the state directory's ``feed`` folder; a loop sends every
message to each, and never waits. Nobody depends on it: what must not be lost stands in the
database, and where nobody looks on nothing is sent.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from typing import TYPE_CHECKING, Self

from edge_asr.store.files import file_errors, give_to_owner, make_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

FOLDER = "feed"
MAX_BYTES = 32 << 10
"""Of one message; what is longer is not told."""
_LOOK_S = 0.5
"""How often it is asked who looks on."""


class Feed:
    """Tells whoever looks on."""

    def __init__(self, state_dir: Path) -> None:
        self._folder = state_dir / FOLDER
        self._sockets: list[str] = []
        self._looked_at_s = -_LOOK_S

    @property
    def has_onlookers(self) -> bool:
        """Whether anybody looked on within the last half second."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s >= _LOOK_S:
            self._looked_at_s = now_s
            self._sockets = self._those_who_look()
        return bool(self._sockets)

    def _those_who_look(self) -> list[str]:
        """Return the names of the sockets; one that was killed leaves a file, and hears nothing."""
        try:
            names = [path.name for path in self._folder.glob("*.sock")]
        except OSError:
            names = []
        return [name for name in names if self._is_heard(name)]

    def _is_heard(self, name: str) -> bool:
        try:
            with _socket() as asking, _short_path(self._folder) as folder:
                asking.connect(f"{folder}/{name}")
        except OSError:
            return False
        return True

    def tell(self, message: bytes) -> None:
        """Send a message to each onlooker. If one does not take it, nothing happens."""
        if not self.has_onlookers or len(message) > MAX_BYTES:
            return
        with contextlib.suppress(OSError), _socket() as sender, _short_path(self._folder) as folder:
            for name in self._sockets:
                with contextlib.suppress(OSError):
                    sender.sendto(message, f"{folder}/{name}")


class Onlooker:
    """Hears what the loops tell, while it is open."""

    def __init__(self, state_dir: Path, name: str) -> None:
        self._state_dir = state_dir
        self._folder = state_dir / FOLDER
        self._name = f"{name}.sock"
        self._socket: socket.socket | None = None

    def __enter__(self) -> Self:
        """Begin to look on.

        Raises:
            StoreError: the disk refuses.
        """
        with file_errors(self._folder):
            make_directory(self._folder)
            (self._folder / self._name).unlink(missing_ok=True)  # of one that died
            heard = _socket()
            try:
                with _short_path(self._folder) as folder:
                    heard.bind(f"{folder}/{self._name}")
                (self._folder / self._name).chmod(0o600)
                give_to_owner(self._state_dir, self._folder, self._folder / self._name)
            except OSError:
                heard.close()
                raise
        self._socket = heard
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        with contextlib.suppress(OSError):
            (self._folder / self._name).unlink(missing_ok=True)

    def fileno(self) -> int:
        """Return the descriptor that becomes readable when there is a message; -1 when closed."""
        return -1 if self._socket is None else self._socket.fileno()

    def messages(self) -> list[bytes]:
        """Return what came since the last call."""
        taken: list[bytes] = []
        with contextlib.suppress(OSError):
            while self._socket is not None:
                taken.append(self._socket.recv(MAX_BYTES))
        return taken


@contextlib.contextmanager
def _short_path(directory: Path) -> Iterator[str]:
    """Give a short path: the address of a socket may have 107 bytes, a directory's has more."""
    descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)


def _socket() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
    made.setblocking(False)
    return made
