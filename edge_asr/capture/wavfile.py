"""A sound file as a source, equal to a microphone."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

from edge_asr.audio import open_sound_file
from edge_asr.capture.resampling import Resampler, in_words, mono
from edge_asr.capture.stream import instant_at
from edge_asr.clock import now
from edge_asr.records import SAMPLE_RATE, AudioChunk, SourceState, SourceStatus

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator
    from pathlib import Path
    from types import TracebackType

    from edge_asr.audio import SoundFile
    from edge_asr.records import Instant, Waveform

CHUNK_S = 0.1
"""Seconds of sound in a chunk, as from a microphone."""
LONG_CHUNK_S = 1.6
"""The same, where nobody waits for the next word: for fifty frames at once the detector takes a
third of the time that it takes for three at a time, and finds the same."""


class WavFile:
    """Plays a file of any format that libsndfile reads into whoever listens.

    Args:
        path: the file.
        stop: ends the source when it is set.
        realtime: deliver each chunk when a microphone would have, by the monotonic clock; else as
            fast as it can be read. Either way its instants say when it would have been heard.
        chunk_s: seconds of sound in a chunk.

    Raises:
        AudioFileError: the file cannot be read (on entering the context, or while iterating).
    """

    def __init__(
        self,
        path: Path,
        stop: threading.Event,
        *,
        realtime: bool = True,
        chunk_s: float = CHUNK_S,
    ) -> None:
        self._path = path
        self._stop = stop
        self._realtime = realtime
        self._chunk_s = chunk_s
        self._file: SoundFile | None = None
        self._open_file = ExitStack()

    @property
    def name(self) -> str:
        """The file's name without its suffix."""
        return self._path.stem

    @property
    def duration_s(self) -> float:
        """Its length in seconds, as its header claims; only while it is open."""
        return self._file.duration_s if self._file is not None else 0.0

    def attend(self, *, closely: bool) -> None:
        """Do nothing: a file is read at its own pace."""

    def __enter__(self) -> Self:
        self._file = self._open_file.enter_context(open_sound_file(self._path, self._chunk_s))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._open_file.__exit__(kind, error, traceback)

    def __iter__(self) -> Iterator[AudioChunk | SourceStatus]:
        if self._file is None:
            raise ValueError("open the file first: with WavFile(...) as source")
        file, start = self._file, now()
        form = in_words(file.sample_rate, file.n_channels)
        yield SourceStatus(SourceState.HEARING, f"{self._path.name}, {form}")
        n_samples = n_invalid = 0
        for waveform in _waveforms(file):
            n_samples += len(waveform)
            if self._realtime:
                self._wait_until(start, n_samples)
            if self._stop.is_set():
                return
            n_new, n_invalid = file.blocks.n_invalid - n_invalid, file.blocks.n_invalid
            at = start.shifted(_ns(n_samples - len(waveform)))
            # Played as it was spoken, it is heard by today's clock, which may have been set since.
            heard_at = instant_at(at.monotonic_ns) if self._realtime else at
            yield AudioChunk(waveform, heard_at, n_new)

    def _wait_until(self, start: Instant, n_samples: int) -> None:
        """Wait until a microphone would have captured so many samples."""
        wait_ns = start.monotonic_ns + _ns(n_samples) - time.monotonic_ns()
        if wait_ns > 0:
            self._stop.wait(wait_ns / 1e9)


def _waveforms(file: SoundFile) -> Iterator[Waveform]:
    resampler = Resampler(file.sample_rate)
    for frames in file.blocks:
        waveform = resampler.push(mono(frames))
        if len(waveform):
            yield waveform
    rest = resampler.flush()
    if len(rest):
        yield rest


def _ns(n_samples: int) -> int:
    return n_samples * 1_000_000_000 // SAMPLE_RATE
