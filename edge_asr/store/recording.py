"""The open utterance: on disk while it is being spoken.

``open/<uid>.part`` is one line of JSON (what it is, when it began), then raw little-endian 16-bit
PCM that grows. Whoever writes it holds a lock on it, so that a file without one is known to be
left over from a process that died. Anyone may read it while it grows.
"""

from __future__ import annotations

import errno
import math
import os
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from edge_asr.audio import pcm16_from_waveform, waveform_from_pcm16
from edge_asr.errors import StoreError
from edge_asr.store.files import file_errors, lock_file, make_directory, sync
from edge_asr.store.headers import Header, header_line, new_uid, parse_header

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_asr.records import Instant, Waveform

SYNC_INTERVAL_S = 0.6
"""From the beginning of one synchronisation to that of the next, and less on a slow disk.

With chunks of 0.1 s, one of them still on its way, what is not safe stays below one second.
"""
BYTES_PER_SAMPLE = 2
MAX_HEADER_BYTES = 16 << 10
MAX_PCM_BYTES = 64 << 20
"""Half an hour. The longest utterance is of 4 minutes: a larger file is none of ours."""
ANEW_SUFFIX = ".anew"
_RELEASED = -1


class Recording:
    """An utterance that is being written. Made by :meth:`begin`.

    Its sound is also kept in memory, two megabytes a minute: what the disk refuses is written later
    (:meth:`flush`), and after a failed synchronisation, which may have lost anything, the whole
    file is written anew.
    """

    def __init__(self, path: Path, header: Header, descriptor: int, line: bytes) -> None:
        self.path = path
        self.header = header
        self._descriptor = descriptor
        self._line = line
        self._pcm = bytearray()
        self._n_written = 0
        """Bytes of PCM that the file has."""
        self._is_doubtful = False
        """A synchronisation failed: the file may not be what was written."""
        # The first sound is synchronised at once: it is older than the word that it is speech.
        self._sync_began_s = -math.inf
        self._sync_took_s = 0.0

    @property
    def n_samples(self) -> int:
        """How many samples were appended."""
        return len(self._pcm) // BYTES_PER_SAMPLE

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
            line = header_line(header)
            recording = cls(path, header, descriptor, line)
            try:
                _write_all(descriptor, line, 0)
                os.fsync(descriptor)
                sync(directory)
            except OSError:
                with suppress(StoreError):
                    recording.discard()
                raise
        return recording

    @classmethod
    def resume(cls, path: Path, descriptor: int) -> Self:
        """Take over what another process left; ``descriptor`` has the lock on it.

        Raises:
            StoreError: its header is damaged, it is too large, or it cannot be read.
        """
        header, line, pcm = _read(path)
        recording = cls(path, header, descriptor, line)
        recording._pcm += pcm[: len(pcm) - len(pcm) % BYTES_PER_SAMPLE]
        recording._n_written = len(recording._pcm)
        return recording

    def append(self, waveform: Waveform) -> None:
        """Write the next samples, and synchronise them when it is time.

        Raises:
            StoreError: the disk refuses; the samples are kept, and :meth:`flush` tries again.
        """
        self._pcm += pcm16_from_waveform(waveform)
        self.flush()

    def flush(self) -> None:
        """Write what the file does not have yet, and synchronise it when it is time.

        Raises:
            StoreError: the disk refuses; it may be tried again.
        """
        with file_errors(self.path):
            self._write()
            if self._sync_is_due():
                self._synchronise(os.fdatasync)

    def truncate(self, n_samples: int) -> Waveform:
        """Keep the first ``n_samples``, synchronise, and return them.

        Raises:
            StoreError: the disk refuses; it may be tried again.
        """
        del self._pcm[n_samples * BYTES_PER_SAMPLE :]
        with file_errors(self.path):
            self._write()
            os.ftruncate(self._descriptor, len(self._line) + len(self._pcm))
            self._n_written = len(self._pcm)
            self._synchronise(os.fsync)
        return waveform_from_pcm16(bytes(self._pcm))

    def _write(self) -> None:
        if self._is_doubtful:
            self._write_anew()
        new = bytes(memoryview(self._pcm)[self._n_written :])
        _write_all(self._descriptor, new, len(self._line) + self._n_written)
        self._n_written = max(self._n_written, len(self._pcm))

    def _sync_is_due(self) -> bool:
        """A sound is safe when its synchronisation ends: where that takes long, begin earlier.

        Never for more than half of the time, though: a disk that slow is needed by others, too.
        """
        wait_s = max(SYNC_INTERVAL_S - self._sync_took_s, 2 * self._sync_took_s)
        return time.monotonic() - self._sync_began_s >= wait_s

    def _synchronise(self, sync_file: Callable[[int], None]) -> None:
        self._sync_began_s = time.monotonic()
        try:
            sync_file(self._descriptor)
        except OSError:
            self._is_doubtful = True
            raise
        finally:
            self._sync_took_s = time.monotonic() - self._sync_began_s

    def _write_anew(self) -> None:
        """Put a new file in the place of one that cannot be trusted; the lock goes with it."""
        fresh = self.path.with_suffix(ANEW_SUFFIX)
        descriptor = lock_file(fresh, create=True)
        if descriptor is None:
            raise BlockingIOError(errno.EIO, "is being written by another process", str(fresh))
        try:
            os.ftruncate(descriptor, 0)
            _write_all(descriptor, self._line + self._pcm, 0)
            os.fsync(descriptor)
            fresh.replace(self.path)
            sync(self.path.parent)
        except OSError:
            os.close(descriptor)
            raise
        os.close(self._descriptor)
        self._descriptor, self._n_written = descriptor, len(self._pcm)
        self._is_doubtful = False

    def discard(self) -> None:
        """Remove the file: it was no speech, or it is safe elsewhere.

        Raises:
            StoreError: the disk refuses.
        """
        try:
            with file_errors(self.path):
                self.path.unlink(missing_ok=True)  # while the lock is ours
        finally:
            self.release()

    def release(self) -> None:
        """Let go of the file; the next repair finds it. No harm if it is done already."""
        if self._descriptor != _RELEASED:
            os.close(self._descriptor)
            self._descriptor = _RELEASED


def read_recording(path: Path) -> tuple[Header, Waveform]:
    """Return an open utterance as far as it is written, also while it grows.

    Raises:
        StoreError: its header is damaged, it is too large, or it cannot be read.
    """
    header, _, pcm = _read(path)
    return header, waveform_from_pcm16(pcm)


def settle_anew(fresh: Path) -> None:
    """Finish what a process left that died while it wrote an open utterance anew.

    Of the two files, the longer one has all that was said until then.

    Raises:
        OSError: the disk refuses.
    """
    descriptor = lock_file(fresh, create=False)
    if descriptor is None:
        return
    path = fresh.with_suffix(".part")
    held = lock_file(path, create=False)
    try:
        if path.exists() and held is None:
            return  # somebody writes it
        if _n_bytes_of_sound(fresh, path.stem) > _n_bytes_of_sound(path, path.stem):
            fresh.replace(path)
            sync(path.parent)
        else:
            fresh.unlink()
    finally:
        for lock in (descriptor, held):
            if lock is not None:
                os.close(lock)


def _n_bytes_of_sound(path: Path, uid: str) -> int:
    try:
        with path.open("rb") as file:
            line, n_bytes = file.readline(MAX_HEADER_BYTES), file.seek(0, os.SEEK_END)
        parse_header(path.with_name(f"{uid}.part"), line)
    except (OSError, StoreError):
        return -1
    return n_bytes - len(line)


def _read(path: Path) -> tuple[Header, bytes, bytes]:
    """Return the header, its line, and the PCM behind it."""
    with file_errors(path), path.open("rb") as file:
        line = file.readline(MAX_HEADER_BYTES)
        pcm = file.read(MAX_PCM_BYTES + 1)
    if len(pcm) > MAX_PCM_BYTES:
        raise StoreError(f"{path}: larger than any utterance")
    return parse_header(path, line), line, pcm


def _write_all(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        n_written = os.pwrite(descriptor, view, offset)
        view, offset = view[n_written:], offset + n_written
