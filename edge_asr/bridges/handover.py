"""Hands one transcript over: to a program, or to an HTTP server at a unix socket."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING

from edge_asr.errors import EdgeAsrError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence

_SLICE_S = 0.5
GRACE_S = 5.0
"""For so long what is under way goes on once we are to stop."""
_MAX_STATUS_LINE = 4096
_GOOD = range(200, 300)


class HandoverError(EdgeAsrError):
    """It was not taken. The message says why, in words that hold nothing that was said."""


class Patience:
    """How long something may take; less, once we are to stop.

    Args:
        timeout_s: how long.
        stop: is set when we are to stop.
        alive: is called while something takes its time.
    """

    def __init__(self, timeout_s: float, stop: threading.Event, alive: Callable[[], None]) -> None:
        self._timeout_s = timeout_s
        self._end_s = time.monotonic() + timeout_s
        self._stop = stop
        self._alive = alive

    def slice_s(self) -> float:
        """Return for how long to wait before this is asked again.

        Raises:
            HandoverError: the time is up.
        """
        self._alive()
        now_s = time.monotonic()
        if self._stop.is_set():
            self._end_s = min(self._end_s, now_s + GRACE_S)
        if now_s >= self._end_s:
            raise HandoverError(f"it took longer than {self._timeout_s:g} s")
        return min(_SLICE_S, self._end_s - now_s)


def run_command(
    command: Sequence[str], payload: bytes, patience: Patience, environ: Mapping[str, str]
) -> None:
    """Run a program that gets ``payload`` at its standard input.

    What it says on standard error goes where ours goes. When its time is up it is killed, with all
    that it started.

    Raises:
        HandoverError: it cannot be started, failed, or took too long.
    """
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=environ,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise HandoverError(f"{command[0]} cannot be started: {error}") from error
    try:
        unsent: bytes | None = payload
        while process.returncode is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.communicate(unsent, timeout=patience.slice_s())
            unsent = None  # it is on its way
    finally:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode:
        raise HandoverError(f"{command[0]} {_how_it_ended(process.returncode)}")


def _how_it_ended(status: int) -> str:
    if status < 0:
        return f"was ended by signal {-status}"
    return f"ended with status {status}"


def post(path_of_socket: str, path: str, payload: bytes, patience: Patience) -> None:
    """Send ``payload`` as a POST to an HTTP server at a unix socket, and read how it answers.

    Raises:
        HandoverError: there is none, it answers with anything but 2xx, or it took too long.
    """
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: edge-asr\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n"
        "Connection: close\r\n\r\n"
    )
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC) as client:
            client.settimeout(patience.slice_s())
            client.connect(path_of_socket)
            _send(client, head.encode("ascii") + payload, patience)
            status = _status(client, patience)
    except OSError as error:
        raise HandoverError(f"{path_of_socket}: {error.strerror or error}") from error
    if status not in _GOOD:
        raise HandoverError(f"{path_of_socket} answers with status {status}")


def _send(client: socket.socket, data: bytes, patience: Patience) -> None:
    left = memoryview(data)
    while left:
        client.settimeout(patience.slice_s())
        with contextlib.suppress(TimeoutError):
            left = left[client.send(left) :]


def _status(client: socket.socket, patience: Patience) -> int:
    """Return the status of an answer: ``HTTP/1.1 200 OK``."""
    answer = b""
    while b"\n" not in answer and len(answer) < _MAX_STATUS_LINE:
        client.settimeout(patience.slice_s())
        with contextlib.suppress(TimeoutError):
            received = client.recv(_MAX_STATUS_LINE)
            if not received:
                break
            answer += received
    version, _, rest = answer.partition(b" ")
    if not version.startswith(b"HTTP/1.") or not rest[:3].isdigit():
        raise HandoverError("what is there does not speak HTTP")
    return int(rest[:3])
