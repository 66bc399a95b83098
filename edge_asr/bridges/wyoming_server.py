"""The Wyoming server: who may connect, how many at once, until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import time
from typing import TYPE_CHECKING

from edge_asr.bridges.wyoming_client import Client, Service
from edge_asr.errors import ConfigError

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Sequence

    Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MAX_CLIENTS = 16
_LOOK_S = 0.2
_ALIVE_S = 5.0


def networks(allowed: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks of other machines that may connect.

    Raises:
        ConfigError: one is no address and no network.
    """
    try:
        return tuple(ipaddress.ip_network(each) for each in allowed)
    except ValueError as error:
        raise ConfigError(
            f"wyoming.allow: {error}; write an address or a network, such as 192.168.1.0/24"
        ) from error


class Server:
    """Listens for clients.

    Args:
        service: what they are answered with.
        allowed: the networks of other machines that may connect.
        tell: is told of clients that are refused.
    """

    def __init__(
        self, service: Service, allowed: Sequence[Network], tell: Callable[[str], None]
    ) -> None:
        self._service = service
        self._allowed = allowed
        self._tell = tell
        self._clients: set[asyncio.Task[None]] = set()

    async def run(
        self,
        sockets: Sequence[socket.socket],
        *,
        stop: threading.Event,
        ready: Callable[[], None],
        alive: Callable[[], None],
    ) -> None:
        """Answer clients until ``stop`` is set.

        Args:
            sockets: where it listens; they are closed at the end.
            stop: is looked at a few times a second.
            ready: is called once clients are answered.
            alive: is called every few seconds while no model works; it tells for itself.
        """
        servers = [await asyncio.start_server(self._welcome, sock=each) for each in sockets]
        ready()
        alive_at_s = -_ALIVE_S
        try:
            while not stop.is_set():
                now_s = time.monotonic()
                if now_s - alive_at_s >= _ALIVE_S and not self._service.engine.is_busy:
                    alive_at_s = now_s
                    alive()
                await asyncio.sleep(_LOOK_S)
        finally:
            for server in servers:
                server.close()
            for client in self._clients:
                client.cancel()
            if self._clients:
                await asyncio.wait(self._clients)
            await asyncio.to_thread(self._service.engine.close)

    async def _welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        why_not = self._refusal(writer.get_extra_info("peername"))
        if why_not:
            self._tell(why_not)
            writer.close()
            return
        task = asyncio.current_task()
        if task is not None:
            self._clients.add(task)
            task.add_done_callback(self._clients.discard)
        with contextlib.suppress(asyncio.CancelledError):  # we are to stop
            await Client(self._service, reader, writer).run()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    def _refusal(self, peer: object) -> str | None:
        """Return why a client may not be answered; None: it may."""
        if len(self._clients) >= MAX_CLIENTS:
            return f"{MAX_CLIENTS} clients are answered already; one more was refused"
        if not isinstance(peer, tuple):  # at a unix socket, which has owner and mode
            return None
        address = ipaddress.ip_address(str(peer[0]).partition("%")[0])
        mapped = getattr(address, "ipv4_mapped", None)
        address = mapped or address
        if address.is_loopback or any(address in network for network in self._allowed):
            return None
        return f"{address} may not connect; name it under wyoming.allow if it should"
