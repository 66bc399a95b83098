"""Many or long sound files -> text: one process cuts them into utterances, others recognize.

What was recognized is kept in a journal beside the result until the result is whole, so that work
that was broken off goes on where it stopped.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edge_asr.capture.hearing import Hearing
from edge_asr.capture.wavfile import LONG_CHUNK_S, WavFile
from edge_asr.errors import AudioFileError
from edge_asr.records import SAMPLE_RATE
from edge_asr.transcribe import Outcome, segment_of, stretches, transcript_of
from edge_asr.workers import result_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from edge_asr.capture.vad import SileroVad
    from edge_asr.config import VadSettings
    from edge_asr.journal import Journal
    from edge_asr.records import Recognition, Request
    from edge_asr.transcribe import Stretch
    from edge_asr.workers import Workers


@dataclass(slots=True)
class _File:
    """A file whose utterances are being recognized."""

    path: Path
    pieces: list[_Piece] = field(default_factory=list)
    journal: Journal | None = None
    duration_s: float = 0.0
    error: AudioFileError | None = None
    is_cut: bool = False
    """Whether all of its utterances are known."""

    @property
    def is_done(self) -> bool:
        """Whether nothing of it is waited for."""
        return self.is_cut and all(piece.found.done() for piece in self.pieces)

    def outcome(self) -> Outcome:
        """Return what came of it, and wait for that."""
        if self.error is not None:
            return Outcome(self.path, None, self.error)
        segments = [
            segment_of(piece.start_s, piece.end_s, result_of(piece.found), self.duration_s)
            for piece in self.pieces
        ]
        return Outcome(self.path, transcript_of(self.path, segments, self.duration_s))


@dataclass(frozen=True, slots=True)
class _Piece:
    start_s: float
    end_s: float
    found: Future[Recognition]


class ArchiveTranscriber:
    """Transcribes files on several cores; results come in the order of the files.

    Args:
        vad: tells speech from silence.
        settings: what an utterance is.
        workers: recognize.
        journal_of: gives a file's journal, or None where nothing is kept.
    """

    def __init__(
        self,
        vad: SileroVad,
        settings: VadSettings,
        workers: Workers,
        journal_of: Callable[[Path], Journal | None],
    ) -> None:
        self._vad = vad
        self._settings = settings
        self._workers = workers
        self._journal_of = journal_of

    def transcribe(
        self, paths: Iterable[Path], request: Request, progress: Callable[[float], None]
    ) -> Iterator[Outcome]:
        """Transcribe files; a file that cannot be read is an outcome, too.

        Args:
            paths: files that libsndfile reads.
            request: what to do with their speech.
            progress: is told, of each utterance that was recognized, how many seconds later in its
                file it ends than the one before.

        Raises:
            EdgeAsrError: a recognizing process has ended.
        """
        files: deque[_File] = deque()
        for path in paths:
            files.append(_File(path))
            self._cut(files[-1], request, progress)
            while files and files[0].is_done:
                yield from _told(files.popleft())
        self._workers.flush()
        while files:
            yield from _told(files.popleft())

    def _cut(self, file: _File, request: Request, progress: Callable[[float], None]) -> None:
        """Hand all utterances of a file over."""
        hearing = Hearing(self._vad, self._settings)
        done_s = 0.0
        try:
            with WavFile(
                file.path, threading.Event(), realtime=False, chunk_s=LONG_CHUNK_S
            ) as source:
                file.journal = self._journal_of(file.path)
                for stretch in stretches(source, hearing):
                    found = self._submit(stretch, request, file.journal)
                    file.pieces.append(_Piece(stretch.start_s, stretch.end_s, found))
                    found.add_done_callback(_telling(progress, stretch.end_s - done_s))
                    done_s = stretch.end_s
        except AudioFileError as error:
            file.error = error
        file.duration_s = hearing.n_heard / SAMPLE_RATE
        file.is_cut = True

    def _submit(
        self, stretch: Stretch, request: Request, journal: Journal | None
    ) -> Future[Recognition]:
        if journal is None:
            return self._workers.submit(stretch.waveform, request)
        key = (stretch.start_sample, len(stretch.waveform))
        known = journal.find(key)
        if known is not None:
            found: Future[Recognition] = Future()
            found.set_result(known)
            return found
        found = self._workers.submit(stretch.waveform, request)
        found.add_done_callback(lambda done: journal.keep(key, done))
        return found


def _telling(progress: Callable[[float], None], step_s: float) -> Callable[[object], None]:
    return lambda _found: progress(step_s)


def _told(file: _File) -> Iterator[Outcome]:
    """Yield what came of a file. Whoever asks for the next one has kept this one."""
    yield file.outcome()
    if file.journal is not None and file.error is None:
        file.journal.remove()
