"""Sound that was nearly taken for speech, kept for a while so that a site can see what it loses.

It is no part of the log: no row, no chain, no promise. A thread of its own writes it, so that
hearing never waits; what the thread cannot take in time, what is too old, too much, or in the way
of a full disk is forgotten. A file's name says what it is:
``20261124T093015123.38.unsure.mic.flac`` (UTC, peak of the speech probability in percent, why,
source).
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

from edge_asr.audio import write_flac
from edge_asr.errors import EdgeAsrError
from edge_asr.records import RejectedBecause
from edge_asr.store.files import OWNER_ONLY, has_room, make_directory

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from edge_asr.records import Instant, Waveform

DIRECTORY = "rejected"
MAX_WAITING = 16
"""Stretches that may wait for the disk; 15 s each at most, a megabyte."""
_PART = ".part"
_STAMP = "%Y%m%dT%H%M%S"
_NAME_FIELDS = 4
_S_PER_H = 3600.0
_STALE_S = 60.0
"""A file that is being written for so long has lost its writer."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is kept."""

    keep_h: float
    """Zero: nothing is."""
    max_bytes: int
    min_free_bytes: int
    """Of the disk; while less is free, nothing is kept and what there is goes."""


@dataclass(frozen=True, slots=True)
class Rejected:
    """A stretch of sound that no utterance has."""

    path: Path
    source: str
    start_utc_ns: int
    """As the wall clock had it."""
    peak: float
    """The highest speech probability in it."""
    because: RejectedBecause
    n_bytes: int


class RejectedSounds:
    """Keeps what one listener rejects. Open it with ``with``: a thread runs as long.

    Args:
        state_dir: of the store.
        limits: how much is kept.
        waits: let the caller wait for the disk, where no microphone goes on meanwhile.
    """

    def __init__(self, state_dir: Path, limits: Limits, *, waits: bool = False) -> None:
        self._directory = state_dir / DIRECTORY
        self._limits = limits
        self._waits = waits
        self._waiting: queue.Queue[tuple[str, Waveform] | None] = queue.Queue(MAX_WAITING)
        self._thread = threading.Thread(target=self._write_all, name="rejected", daemon=True)

    def keep(
        self, source: str, start: Instant, waveform: Waveform, peak: float, because: RejectedBecause
    ) -> None:
        """Hand sound over to be written; it is dropped where too much waits already."""
        if not self._limits.keep_h:
            return
        name = f"{_stamp(start.utc_ns)}.{min(99, int(peak * 100)):02d}.{because}.{source}.flac"
        try:
            self._waiting.put((name, waveform), block=self._waits)
        except queue.Full:
            return

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._waiting.put(None)
        self._thread.join(timeout=5.0)

    def _write_all(self) -> None:
        self._forget()
        while (item := self._waiting.get()) is not None:
            try:
                self._write(*item)
                self._forget()
            except (OSError, EdgeAsrError):
                continue  # the disk refuses, and this sound is not worth waiting for it

    def _write(self, name: str, waveform: Waveform) -> None:
        if not has_room(self._directory.parent, self._limits.min_free_bytes):
            return
        make_directory(self._directory)
        part = self._directory / f"{name}{_PART}"
        part.touch(mode=OWNER_ONLY)
        write_flac(part, waveform)
        part.rename(self._directory / name)

    def _forget(self) -> None:
        """Remove what is too old, the oldest of what is too much, and all on a full disk."""
        try:
            for part in self._directory.glob(f"*{_PART}"):
                if time.time() - part.stat().st_mtime > _STALE_S:
                    part.unlink(missing_ok=True)
            full = not has_room(self._directory.parent, self._limits.min_free_bytes)
            oldest_ns = time.time_ns() - int(self._limits.keep_h * _S_PER_H * 1e9)
            n_bytes = 0
            for each in reversed(list(rejected_sounds(self._directory.parent))):
                n_bytes += each.n_bytes
                if full or each.start_utc_ns < oldest_ns or n_bytes > self._limits.max_bytes:
                    each.path.unlink(missing_ok=True)
        except OSError:
            return


def rejected_sounds(state_dir: Path) -> Iterator[Rejected]:
    """Yield what is kept of a store, oldest first."""
    for path in sorted((state_dir / DIRECTORY).glob("*.flac")):
        found = _read_name(path)
        if found is not None:
            yield found


def _read_name(path: Path) -> Rejected | None:
    """Return what a file's name says; None where it is not one of ours, or gone."""
    parts = path.name.removesuffix(".flac").split(".", _NAME_FIELDS - 1)
    try:
        stamp, peak, because, source = parts
        moment = datetime.strptime(f"{stamp}000", f"{_STAMP}%f").replace(tzinfo=UTC)
        return Rejected(
            path,
            source,
            round(moment.timestamp() * 1e3) * 1_000_000,
            int(peak) / 100,
            RejectedBecause(because),
            path.stat().st_size,
        )
    except (ValueError, OSError):
        return None


def _stamp(utc_ns: int) -> str:
    moment = datetime.fromtimestamp(utc_ns // 1_000_000_000, UTC)
    return f"{moment:{_STAMP}}{utc_ns // 1_000_000 % 1000:03d}"
