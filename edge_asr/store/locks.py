"""Who may do what: one recognizer for each store, one listener for each source."""

from __future__ import annotations

import hashlib
import os
import re
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.store.files import file_errors, lock_file, make_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_MAX_PID_DIGITS = 10


@contextmanager
def recognizer_lock(state_dir: Path) -> Iterator[None]:
    """Be the one recognizer of this store.

    Raises:
        StoreError: another process is.
    """
    with _held(_recognizer_path(state_dir), f"{state_dir} is already being transcribed"):
        yield


@contextmanager
def listener_lock(state_dir: Path, source: str) -> Iterator[None]:
    """Be the one listener to this source.

    Raises:
        StoreError: another process is.
    """
    with _held(_listener_path(state_dir, source), f"'{source}' is already listened to"):
        yield


def is_listened_to(state_dir: Path, source: str) -> bool:
    """Say whether a process listens to this source now."""
    return _is_held(_listener_path(state_dir, source))


def is_recognizing(state_dir: Path) -> bool:
    """Say whether a process transcribes this store now."""
    return _is_held(_recognizer_path(state_dir))


@contextmanager
def hands_lock(state_dir: Path) -> Iterator[None]:
    """Be the one who looks after keys, buttons and lights.

    Raises:
        StoreError: another process is, or the disk refuses.
    """
    with _held(state_dir / "locks" / "hands.lock", "keys and buttons are already looked after"):
        yield


def has_hands(state_dir: Path) -> bool:
    """Say whether a process looks after keys, buttons and lights."""
    return _is_held(state_dir / "locks" / "hands.lock")


def _is_held(path: Path) -> bool:
    with file_errors(path):
        descriptor = lock_file(path, create=False)
        if descriptor is None:
            return path.exists()
    os.close(descriptor)
    return False


def _recognizer_path(state_dir: Path) -> Path:
    return state_dir / "locks" / "recognize.lock"


def _listener_path(state_dir: Path, source: str) -> Path:
    return state_dir / "locks" / f"listen-{name_on_disk(source)}.lock"


def name_on_disk(source: str) -> str:
    """Return what a file about a source is called: the name of a sound file may hold anything."""
    return source if _PLAIN_NAME.fullmatch(source) else _digest(source)


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:16]


@contextmanager
def _held(path: Path, taken: str) -> Iterator[None]:
    with file_errors(path):
        make_directory(path.parent)
        descriptor = lock_file(path, create=True)
        if descriptor is None:
            raise StoreError(f"{taken} by process {_holder(path)}; stop that one first")
        with suppress(OSError):  # on a full disk, nobody needs to read whose lock it is
            os.ftruncate(descriptor, 0)
            os.write(descriptor, str(os.getpid()).encode())
    try:
        yield
    finally:
        with suppress(OSError):  # the lock ends with the descriptor, its file is only a name
            path.unlink(missing_ok=True)  # while it is still ours
        os.close(descriptor)


def _holder(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")[:_MAX_PID_DIGITS] or "unknown"
    except (OSError, UnicodeDecodeError):
        return "unknown"
