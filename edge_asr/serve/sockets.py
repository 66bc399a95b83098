"""Where the server listens: an address of this machine, a path, or what systemd opened for it."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import os
import socket
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from edge_asr.errors import ConfigError, EdgeAsrError

if TYPE_CHECKING:
    from collections.abc import Mapping

_FIRST_INHERITED = 3
"""SD_LISTEN_FDS_START of sd_listen_fds(3)."""
_BACKLOG = 512
_OWNER_ONLY = 0o600
MIN_TOKEN_CHARACTERS = 16


def inherited(environ: Mapping[str, str]) -> list[socket.socket]:
    """Return the sockets that systemd opened for this process, as sd_listen_fds(3) describes."""
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    n_sockets = int(environ.get("LISTEN_FDS", "0"))
    return [socket.socket(fileno=_FIRST_INHERITED + i) for i in range(n_sockets)]


class Address(Protocol):
    """Where a server is configured to listen."""

    @property
    def host(self) -> str:
        """An address or a name."""

    @property
    def port(self) -> int:
        """0: any that is free."""

    @property
    def unix_socket(self) -> str | None:
        """A path to listen at instead."""


def opened_as_asked(
    configured: Address, host: str | None, port: int | None, unix_socket: Path | None
) -> socket.socket:
    """Return a socket that listens where it is asked to; what is not asked is as configured.

    Raises:
        EdgeAsrError: nobody can listen there; see :func:`opened` and :func:`opened_unix`.
    """
    path = unix_socket
    if path is None and configured.unix_socket and host is None and port is None:
        path = Path(configured.unix_socket)
    if path is not None:
        return opened_unix(path)
    return opened(host or configured.host, configured.port if port is None else port)


def opened(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address.

    Raises:
        EdgeAsrError: the address is not of this machine, or taken.
    """
    try:
        # Addresses only: a name would be looked up in a network.
        numeric = "127.0.0.1" if host == "localhost" else host
        family, kind, protocol, _, address = socket.getaddrinfo(
            numeric, port, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )[0]
        made = socket.socket(family, kind, protocol)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind(address)
            made.listen(_BACKLOG)
        except OSError:
            made.close()
            raise
    except OSError as error:
        raise EdgeAsrError(
            f"cannot listen at {host} port {port}: {error.strerror}; name another with --port"
        ) from error
    return made


def opened_unix(path: Path) -> socket.socket:
    """Return a socket that listens at a path, which only its owner may use.

    Raises:
        EdgeAsrError: something else is there, or it cannot be made.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_dead(path)
        before = os.umask(0o177)
        try:
            made.bind(str(path))
        finally:
            os.umask(before)
        path.chmod(_OWNER_ONLY)
        made.listen(_BACKLOG)
    except OSError as error:
        made.close()
        raise EdgeAsrError(f"{path}: {error.strerror or error}; name another path") from error
    return made


def _remove_dead(path: Path) -> None:
    """Remove the socket that a dead server left."""
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise FileExistsError(errno.EEXIST, "is there already, and no socket")
        path.unlink()


def is_local(listening: socket.socket) -> bool:
    """Say whether only this machine can reach a socket."""
    if listening.family == socket.AF_UNIX:
        return True
    return ipaddress.ip_address(str(listening.getsockname()[0])).is_loopback


def title(listening: socket.socket) -> str:
    """Return what to call a socket: an address for a browser, or a path."""
    if listening.family == socket.AF_UNIX:
        return str(listening.getsockname())
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def read_token(path: Path) -> str:
    """Return the token in a file, which is its first line.

    Raises:
        ConfigError: the file cannot be read, others may read it, or the token can be guessed.
    """
    try:
        mode = path.stat().st_mode
        token = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a file with a token: {error}") from error
    if mode & 0o007:
        raise ConfigError(f"{path}: everybody may read it; chmod 600 {path}")
    if len(token) < MIN_TOKEN_CHARACTERS or not token.isascii():
        raise ConfigError(
            f"{path}: a token has at least {MIN_TOKEN_CHARACTERS} letters and digits; make one "
            f"with: openssl rand -hex 24 > {path}"
        )
    return token
