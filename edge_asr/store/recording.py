"""The open utterance: on disk while it is being spoken.

``open/<uid>.part`` is one line of JSON (what it is, when it began), then raw little-endian 16-bit
PCM that grows. Whoever writes it holds a lock on it, so that a file without one is known to be
left over from a process that died. Anyone may read it while it grows.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Self

from edge_asr.audio import pcm16_from_waveform, waveform_from_pcm16
from edge_asr.errors import StoreError
from edge_asr.records import SAMPLE_RATE, ClockQuality, Instant
from edge_asr.store.files import file_errors, lock_file, make_directory, sync

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.records import Waveform

SYNC_INTERVAL_S = 0.8
"""With chunks of 0.1 s, what is not yet safe stays below one second."""
BYTES_PER_SAMPLE = 2
MAX_HEADER_BYTES = 16 << 10
MAX_PCM_BYTES = 64 << 20
"""Half an hour. The longest utterance is of 4 minutes: a larger file is none of ours."""
UID = re.compile(r"\d{8}T\d{9}-[0-9a-f]{6}", re.ASCII)
_RELEASED = -1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of an open utterance."""

    uid: str
    source: str
    start: Instant


class Recording:
    """An utterance that is being written. Made by :meth:`begin`.

    A write that failed may be repeated: sound is placed by position, never appended twice.
    """

    def __init__(self, path: Path, header: Header, descriptor: int, n_header_bytes: int) -> None:
        self.path = path
        self.header = header
        self.n_samples = 0
        self._descriptor = descriptor
        self._n_header_bytes = n_header_bytes
        self._synced_at_s = time.monotonic()

    @classmethod
    def begin(cls, directory: Path, source: str, start: Instant) -> Self:
        """Make the file, with its header, durably.

        Raises:
            StoreError: the disk refuses.
        """
        with file_errors(directory):
            make_directory(directory)
            while True:
                header = Header(new_uid(start.utc_ns), source, start)
                path = directory / f"{header.uid}.part"
                descriptor = lock_file(path, create=True)
                # A repair that looked at the new file before it was locked may have taken it.
                if descriptor is not None:
                    break
            line = _header_line(header)
            recording = cls(path, header, descriptor, len(line))
            try:
                _write_all(descriptor, line, 0)
                os.fsync(descriptor)
                sync(directory)
            except OSError:
                recording.discard()
                raise
        return recording

    @classmethod
    def resume(cls, path: Path, descriptor: int) -> Self:
        """Take over what another process left; ``descriptor`` has the lock on it.

        Raises:
            StoreError: its header is damaged, it is too large, or it cannot be read.
        """
        header, n_header_bytes, pcm = _read(path)
        recording = cls(path, header, descriptor, n_header_bytes)
        recording.n_samples = len(pcm) // BYTES_PER_SAMPLE
        return recording

    def append(self, waveform: Waveform) -> None:
        """Write the next samples, and synchronise them when it is time.

        Raises:
            StoreError: the disk refuses; what was written before is safe.
        """
        with file_errors(self.path):
            _write_all(self._descriptor, pcm16_from_waveform(waveform), self._end)
            self.n_samples += len(waveform)
            if time.monotonic() - self._synced_at_s >= SYNC_INTERVAL_S:
                os.fdatasync(self._descriptor)
                self._synced_at_s = time.monotonic()

    def truncate(self, n_samples: int) -> Waveform:
        """Keep the first ``n_samples``, synchronise, and return them.

        Raises:
            StoreError: the disk refuses.
        """
        with file_errors(self.path):
            self.n_samples = min(n_samples, self.n_samples)
            os.ftruncate(self._descriptor, self._end)
            os.fsync(self._descriptor)
            n_bytes = self.n_samples * BYTES_PER_SAMPLE
            return waveform_from_pcm16(os.pread(self._descriptor, n_bytes, self._n_header_bytes))

    def discard(self) -> None:
        """Remove the file: it was no speech, or it is safe elsewhere.

        Raises:
            StoreError: the disk refuses.
        """
        with file_errors(self.path):
            self.path.unlink(missing_ok=True)  # while the lock is ours
        self.release()

    def release(self) -> None:
        """Let go of the file; the next repair finds it. No harm if it is done already."""
        if self._descriptor != _RELEASED:
            os.close(self._descriptor)
            self._descriptor = _RELEASED

    @property
    def _end(self) -> int:
        return self._n_header_bytes + self.n_samples * BYTES_PER_SAMPLE


def read_recording(path: Path) -> tuple[Header, Waveform]:
    """Return an open utterance as far as it is written, also while it grows.

    Raises:
        StoreError: its header is damaged, it is too large, or it cannot be read.
    """
    header, _, pcm = _read(path)
    return header, waveform_from_pcm16(pcm)


def _read(path: Path) -> tuple[Header, int, bytes]:
    """Return the header, its length in bytes, and the PCM behind it."""
    with file_errors(path), path.open("rb") as file:
        line = file.readline(MAX_HEADER_BYTES)
        pcm = file.read(MAX_PCM_BYTES + 1)
    if len(pcm) > MAX_PCM_BYTES:
        raise StoreError(f"{path}: larger than any utterance")
    return _parse_header(path, line), len(line), pcm


def new_uid(utc_ns: int) -> str:
    """Return a new name for an utterance that began then: sorts by time, and is unique."""
    return (
        f"{utc_time(utc_ns):%Y%m%dT%H%M%S}{utc_ns // 1_000_000 % 1000:03d}-{secrets.token_hex(3)}"
    )


def utc_time(utc_ns: int) -> datetime:
    """Return the instant to the microsecond."""
    return _EPOCH + timedelta(microseconds=utc_ns // 1000)


def _header_line(header: Header) -> bytes:
    start = header.start
    fields = {
        "uid": header.uid,
        "source": header.source,
        "start_utc_ns": start.utc_ns,
        "start_monotonic_ns": start.monotonic_ns,
        "boot_id": start.boot_id,
        "clock_quality": start.clock_quality,
        "sample_rate": SAMPLE_RATE,
    }
    return json.dumps(fields).encode("ascii") + b"\n"


def _parse_header(path: Path, line: bytes) -> Header:
    try:
        fields = json.loads(line)
        start = Instant(
            int(fields["start_utc_ns"]),
            int(fields["start_monotonic_ns"]),
            str(fields["boot_id"]),
            ClockQuality(fields["clock_quality"]),
        )
        header = Header(str(fields["uid"]), str(fields["source"]), start)
        sample_rate = fields["sample_rate"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: the first line is damaged ({error!r})") from error
    if not line.endswith(b"\n") or sample_rate != SAMPLE_RATE:
        raise StoreError(f"{path}: the first line is damaged")
    if header.uid != path.stem or not UID.fullmatch(header.uid):
        raise StoreError(f"{path}: the first line is of '{header.uid}'")
    return header


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        n_written = os.pwrite(descriptor, view, offset)
        view, offset = view[n_written:], offset + n_written
