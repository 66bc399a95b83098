"""Recognizers in processes of their own, one on each core, for work that nobody waits for live.

Two processes with a thread each do more than one process with two threads: the steps of a decoder
are too small to be shared out. The weights lie in memory once, as pages of the bundle's files.
"""

from __future__ import annotations

import multiprocessing
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Self

from edge_asr.bundle import open_bundle
from edge_asr.errors import EdgeAsrError
from edge_asr.recognizers import open_recognizer

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.recognizers import Recognizer
    from edge_asr.records import Recognition, Request, Waveform

QUEUED_PER_WORKER = 4
"""Utterances that are handed over before one is finished: enough that no worker waits."""


class Workers:
    """A pool of recognizers of one bundle.

    Args:
        bundle: its folder; each process verifies it.
        n_workers: processes, each of which computes on one thread.
    """

    def __init__(self, bundle: Path, n_workers: int) -> None:
        self._most_waiting = QUEUED_PER_WORKER * n_workers
        self._waiting: set[Future[Recognition]] = set()
        self._pool = ProcessPoolExecutor(
            n_workers,
            mp_context=multiprocessing.get_context("spawn"),  # a fork would share ONNX's threads
            initializer=_open,
            initargs=(bundle,),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def submit(self, waveform: Waveform, request: Request) -> Future[Recognition]:
        """Have one utterance recognized; wait first while too many wait already.

        Raises:
            EdgeAsrError: a process has ended; what was submitted before may be lost, too.
        """
        while len(self._waiting) >= self._most_waiting:
            _, self._waiting = wait(self._waiting, return_when=FIRST_COMPLETED)
        try:
            found = self._pool.submit(_transcribe, waveform, request)
        except BrokenProcessPool as error:
            raise _ended() from error
        self._waiting.add(found)
        return found


def result_of(found: Future[Recognition]) -> Recognition:
    """Return what a worker made of an utterance, and wait for it.

    Raises:
        EdgeAsrError: its process has ended.
    """
    try:
        return found.result()
    except BrokenProcessPool as error:
        raise _ended() from error


def _ended() -> EdgeAsrError:
    return EdgeAsrError(
        "a recognizing process ended before its work was done, perhaps for want of memory; "
        "use fewer --jobs",
    )


_recognizer: Recognizer
"""Of this process, if it is a worker."""


def _open(bundle: Path) -> None:
    # Ctrl-C is for the process that waits: it ends the workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    global _recognizer  # noqa: PLW0603 (a pool hands its processes nothing else)
    _recognizer = open_recognizer(open_bundle(bundle), n_threads=1)


def _transcribe(waveform: Waveform, request: Request) -> Recognition:
    return _recognizer.transcribe(waveform, request)
