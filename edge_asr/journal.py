"""What was recognized of a file so far: one line for each utterance, so that work can go on.

A journal is good for what it was begun for: the same file, bundle and request. Anything else begins
a new one. A line that was cut off in the middle is left out, with all behind it.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec

from edge_asr.records import Recognition  # noqa: TC001 (msgspec reads it)

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

    from edge_asr.records import Request

_SUFFIX = ".part.jsonl"
Key = tuple[int, int]
"""First sample of an utterance, and how many it has."""


class _Line(msgspec.Struct, frozen=True):
    start_sample: int
    n_samples: int
    recognition: Recognition


@dataclass(frozen=True, slots=True)
class Purpose:
    """What a journal is for."""

    bundle_sha256: str
    request: Request

    def of(self, file: Path) -> str:
        """Return a digest of all that a recognition depends on, of a file as it is now."""
        status = file.stat()
        parts = (self.bundle_sha256, self.request.sha256, file.resolve(), status.st_size)
        text = "\n".join(map(str, (*parts, status.st_mtime_ns)))
        return hashlib.sha256(text.encode()).hexdigest()


def journal_in(directory: Path, file: Path, purpose: Purpose) -> Journal:
    """Return the journal of a file whose result comes into a directory."""
    return Journal(directory / f".{file.name}{_SUFFIX}", purpose.of(file))


class Journal:
    """The journal of one file.

    Args:
        path: where it is; it is begun when there is something to keep.
        purpose: see :meth:`Purpose.of`.
    """

    def __init__(self, path: Path, purpose: str) -> None:
        self.path = path
        self._head = msgspec.json.encode({"purpose": purpose}) + b"\n"
        self._lock = threading.Lock()
        self._known = self._read()
        self._is_begun = bool(self._known)

    def find(self, key: Key) -> Recognition | None:
        """Return what was recognized of an utterance; None: nothing yet."""
        return self._known.get(key)

    def keep(self, key: Key, done: Future[Recognition]) -> None:
        """Write down what was recognized; nothing, if that failed."""
        if done.cancelled() or done.exception() is not None:
            return
        line = msgspec.json.encode(_Line(*key, done.result())) + b"\n"
        with self._lock:  # results arrive in a thread of the pool
            with self.path.open("ab" if self._is_begun else "wb") as file:
                file.write(line if self._is_begun else self._head + line)
            self._is_begun = True

    def remove(self) -> None:
        """Remove it: the result is whole."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[Key, Recognition]:
        known: dict[Key, Recognition] = {}
        try:
            head, *lines = self.path.read_bytes().splitlines(keepends=True)
        except (FileNotFoundError, ValueError):
            return known
        if head != self._head:
            return known
        whole = len(head)
        for raw in lines:
            try:
                line = msgspec.json.decode(raw if raw.endswith(b"\n") else b"", type=_Line)
            except (msgspec.DecodeError, UnicodeDecodeError):
                break
            known[line.start_sample, line.n_samples] = line.recognition
            whole += len(raw)
        with self.path.open("r+b") as file:
            file.truncate(whole)
        return known
