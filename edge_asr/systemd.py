"""What systemd is told: that we are ready, how we are, that work is moving.

The protocol of ``sd_notify(3)``: one datagram of ``KEY=value`` lines to the socket that systemd
names. Without a socket (a terminal, a test) every call does nothing.

The watchdog measures progress, not life: :meth:`Notifier.alive` is called by a loop that has just
got something done, never by a timer. A loop that hangs stops calling it, and systemd restarts it.
"""

from __future__ import annotations

import contextlib
import socket
import time

_PINGS_PER_INTERVAL = 3
"""systemd asks for a ping every half interval; every third leaves room for a late one."""
_SEND_TIMEOUT_S = 1.0
"""A manager that does not read for so long must not hold up the microphone."""


class Notifier:
    """Tells systemd how this process is.

    Args:
        address: the value of ``NOTIFY_SOCKET``: a path, or ``@name`` for an abstract socket.
            None: nobody listens.
        watchdog_usec: the value of ``WATCHDOG_USEC``: the watchdog's interval in microseconds.
            None, or not a positive number: there is no watchdog.
    """

    def __init__(self, address: str | None = None, watchdog_usec: str | None = None) -> None:
        self._address = address
        usec = int(watchdog_usec) if watchdog_usec and watchdog_usec.isdecimal() else 0
        self._ping_interval_s = usec / 1e6 / _PINGS_PER_INTERVAL
        self._last_ping_s: float | None = None

    def ready(self, status: str = "") -> None:
        """Say that start-up is done, and how we are."""
        self._send("READY=1", *_status_lines(status))

    def status(self, text: str) -> None:
        """Say in one line how we are; ``systemctl status`` shows it."""
        self._send(*_status_lines(text))

    def alive(self) -> None:
        """Say that work has moved on. Cheap enough to call for every chunk."""
        if not self._ping_interval_s:
            return
        now_s = time.monotonic()
        if self._last_ping_s is None or now_s - self._last_ping_s >= self._ping_interval_s:
            self._last_ping_s = now_s
            self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """Say that we are on our way out."""
        self._send("STOPPING=1")

    def extend_timeout(self, duration_s: float) -> None:
        """Ask for ``duration_s`` more seconds to start, stop or run (a large model is loading)."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(duration_s * 1e6)}")

    def _send(self, *lines: str) -> None:
        if not self._address or not lines:
            return
        # A leading @ stands for the zero byte of an abstract socket's name.
        address = f"\0{self._address[1:]}" if self._address.startswith("@") else self._address
        # systemd draws its own conclusions from silence, so a message that cannot be delivered
        # needs no second report, and must not stop the work.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender,
        ):
            sender.settimeout(_SEND_TIMEOUT_S)
            sender.sendto("\n".join(lines).encode(), address)


def _status_lines(text: str) -> list[str]:
    # A line break would begin another assignment.
    return [f"STATUS={' '.join(text.split())}"] if text else []
