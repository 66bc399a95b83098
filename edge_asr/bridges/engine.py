"""A recognizer that is loaded when somebody asks, and let go when nobody does."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from edge_asr.abandoning import abandoned_when

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.recognizers import Recognizer
    from edge_asr.records import Recognition, Request, Waveform

    T = TypeVar("T")


class Engine:
    """Recognizes one utterance after the other, in a thread.

    Args:
        open_recognizer: loads it; may raise what opening a bundle raises.
        release_after_s: it is let go when nobody asked for so long.
    """

    def __init__(self, open_recognizer: Callable[[], Recognizer], release_after_s: float) -> None:
        self._open = open_recognizer
        self._release_after_s = release_after_s
        self._thread = ThreadPoolExecutor(1, "recognize")
        self._recognizer: Recognizer | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._n_asking = 0

    @property
    def is_busy(self) -> bool:
        """Whether anybody waits for an answer."""
        return self._n_asking > 0

    @property
    def is_loaded(self) -> bool:
        """Whether the model is in memory."""
        return self._recognizer is not None

    async def check(self, request: Request) -> None:
        """Load the model if need be, and check that it can do what is asked.

        Raises:
            BundleError: it cannot be loaded.
            RequestError: it cannot do it.
        """
        await self._ask(lambda recognizer: recognizer.check(request))

    async def transcribe(
        self, waveform: Waveform, request: Request, is_abandoned: Callable[[], bool]
    ) -> Recognition:
        """Recognize one utterance.

        Args:
            waveform: float32, shape ``(n_samples,)``, 16 kHz mono.
            request: what to do with it.
            is_abandoned: says that nobody waits for it any more.

        Raises:
            AbandonedError: nobody does.
            EdgeAsrError: the bundle cannot be loaded, or not do what is asked.
        """

        def answer(recognizer: Recognizer) -> Recognition:
            with abandoned_when(is_abandoned):
                return recognizer.transcribe(waveform, request)

        return await self._ask(answer)

    def close(self) -> None:
        """Let go of the model; nobody asks any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._recognizer = None

    async def _ask(self, question: Callable[[Recognizer], T]) -> T:
        self._n_asking += 1
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._thread, self._answer, question)
        finally:
            self._n_asking -= 1
            if not self._n_asking:
                self._timer = loop.call_later(self._release_after_s, self._release)

    def _answer(self, question: Callable[[Recognizer], T]) -> T:
        if self._recognizer is None:
            self._recognizer = self._open()
        return question(self._recognizer)

    def _release(self) -> None:
        self._recognizer = None
