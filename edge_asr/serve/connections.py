"""Clients who are slow, or too many.

uvicorn waits for ever, for a request's header and for its answer to be taken, and refuses
everybody when there are many connections. Here a header has ten seconds, and a full buffer half a
minute to be emptied; and when there are too many connections, the one that waits longest without
having asked for anything makes room.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    import asyncio
    from typing import Any

HEADER_S = 10.0
"""So long a client may take from connecting, or its first byte, to the end of its header."""
TAKE_S = 30.0
"""So long a client may take to empty a full buffer, which has 64 KB."""
_KERNEL_BYTES = 128 << 10
"""Of an answer that the kernel may keep; by itself it would keep megabytes for each client."""
MAX_CONNECTIONS = 400
"""Far below what a process may have open."""


class Connection(H11Protocol):
    """A connection of a client, who gets so much time and no more."""

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 (uvicorn's own)
        super().__init__(*arguments, **named)
        self._deadline: asyncio.TimerHandle | None = None
        self._taking: asyncio.TimerHandle | None = None
        self._opened_at_s = self.loop.time()

    @property
    def is_waiting(self) -> bool:
        """Whether the client has not asked for anything that is still to be answered."""
        return self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin, perhaps in the place of another one."""
        super().connection_made(transport)
        own = transport.get_extra_info("socket")
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _KERNEL_BYTES)
        self._watch()
        if len(self.connections) > MAX_CONNECTIONS:
            others = (each for each in self.connections if isinstance(each, Connection))
            waiting = [each for each in others if each.is_waiting]
            # There is at least this one, which has asked for nothing yet.
            min(waiting, key=lambda each: each._opened_at_s).give_up()  # noqa: SLF001 (its own kind)

    def data_received(self, data: bytes) -> None:
        """Take in what came."""
        super().data_received(data)
        self._watch()

    def pause_writing(self) -> None:
        """Take note that the client takes less than it is sent."""
        super().pause_writing()
        self._taking = self.loop.call_later(TAKE_S, self.give_up)

    def resume_writing(self) -> None:
        """Take note that it has caught up."""
        super().resume_writing()
        self._forget_taking()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._forget_deadline()
        self._forget_taking()
        super().connection_lost(exc)

    def give_up(self) -> None:
        """Close the connection at once."""
        self._forget_deadline()
        self.transport.abort()

    def _watch(self) -> None:
        """Set a deadline where a header is awaited; bytes that trickle in do not move it."""
        if not self.is_waiting:
            self._forget_deadline()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_S, self._give_up_waiting)

    def _give_up_waiting(self) -> None:
        self._deadline = None
        if self.is_waiting:
            self.give_up()

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _forget_taking(self) -> None:
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
