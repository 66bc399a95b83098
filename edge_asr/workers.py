"""Recognizers in processes of their own, one on each core, for work that nobody waits for live.

Two processes with a thread each do more than one process with two threads: the steps of a decoder
are too small to be shared out. The weights lie in memory once, as pages of the bundle's files.
"""

from __future__ import annotations

import multiprocessing
import signal
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Self

from edge_asr.bundle import open_bundle
from edge_asr.errors import EdgeAsrError
from edge_asr.recognizers import open_recognizer
from edge_asr.recognizers.together import transcribe_all
from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_asr.recognizers import Recognizer
    from edge_asr.records import Recognition, Request, Waveform

TOGETHER = 16
"""Utterances that a worker is handed at once; of those that wait, the most alike in length."""
WAITING_S = 300.0
"""Seconds of sound that wait to be handed over, 20 MB: of many, more are alike."""


@dataclass(frozen=True, slots=True)
class _Waiting:
    waveform: Waveform
    request: Request
    found: Future[Recognition]


class Workers:
    """A pool of recognizers of one bundle.

    Args:
        bundle: its folder; each process verifies it.
        n_workers: processes, each of which computes on one thread.
    """

    def __init__(self, bundle: Path, n_workers: int) -> None:
        self._n_workers = n_workers
        self._waiting: list[_Waiting] = []
        self._handed_over: set[Future[list[Recognition]]] = set()
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
        """Have one utterance recognized, together with others; :meth:`flush` after the last.

        While too many wait already, this waits.

        Raises:
            EdgeAsrError: a process has ended; what was submitted before may be lost, too.
        """
        waiting = _Waiting(waveform, request, Future())
        self._waiting.append(waiting)
        while True:
            self._hand_over(at_least=TOGETHER)
            if sum(len(each.waveform) for each in self._waiting) < WAITING_S * SAMPLE_RATE:
                return waiting.found
            self._wait()

    def flush(self) -> None:
        """Have all recognized that was submitted, even where few are left to share a batch.

        Raises:
            EdgeAsrError: a process has ended.
        """
        while self._waiting:
            self._hand_over(at_least=1)
            if self._waiting:
                self._wait()

    def _hand_over(self, *, at_least: int) -> None:
        """Hand over as much as keeps the workers busy, if so many utterances wait."""
        self._handed_over = {each for each in self._handed_over if not each.done()}
        while len(self._waiting) >= at_least and len(self._handed_over) <= self._n_workers:
            together = self._alike(min(TOGETHER, -(-len(self._waiting) // self._n_workers)))
            sounds = [each.waveform for each in together]
            try:
                found = self._pool.submit(_transcribe, sounds, together[0].request)
            except BrokenProcessPool as error:
                raise _ended() from error
            found.add_done_callback(partial(_share_out, [each.found for each in together]))
            self._handed_over.add(found)

    def _alike(self, most: int) -> list[_Waiting]:
        """Take the utterance that has waited longest, and those of about its length, out."""
        first = self._waiting[0]
        others = [each for each in self._waiting if each.request == first.request]
        others.sort(key=lambda each: abs(len(each.waveform) - len(first.waveform)))
        taken = others[:most]
        left = {id(each) for each in taken}
        self._waiting = [each for each in self._waiting if id(each) not in left]
        return taken

    def _wait(self) -> None:
        if self._handed_over:
            wait(self._handed_over, return_when=FIRST_COMPLETED)


def _share_out(each: Sequence[Future[Recognition]], done: Future[list[Recognition]]) -> None:
    """Give every utterance what was found for it, or why nothing was."""
    if done.cancelled():
        for found in each:
            found.cancel()
    elif (error := done.exception()) is not None:
        for found in each:
            found.set_exception(error)
    else:
        for found, recognition in zip(each, done.result(), strict=True):
            found.set_result(recognition)


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


def _transcribe(waveforms: Sequence[Waveform], request: Request) -> list[Recognition]:
    return transcribe_all(_recognizer, waveforms, request)
