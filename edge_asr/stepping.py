"""A recognizer that steps down to a smaller bundle while the backlog is long, and up again.

One of the two is in memory at a time: a board that needs a fallback has no room for both.
"""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

from edge_asr.errors import EdgeAsrError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.bundle import Bundle
    from edge_asr.recognizers import Recognizer
    from edge_asr.records import PartialText, Recognition, Request, Waveform


class SteppingRecognizer:
    """Transcribes with the usual bundle, or with the fallback.

    Args:
        open_usual: loads the recognizer of the usual bundle.
        open_fallback: loads that of the fallback bundle.
        fallback_wanted: is asked before each utterance.
        complain: is told when the fallback cannot be loaded; the usual bundle then goes on, and
            the fallback is not tried again.
    """

    def __init__(
        self,
        open_usual: Callable[[], Recognizer],
        open_fallback: Callable[[], Recognizer],
        fallback_wanted: Callable[[], bool],
        complain: Callable[[str], None],
    ) -> None:
        self._open = {False: open_usual, True: open_fallback}
        self._fallback_wanted = fallback_wanted
        self._complain = complain
        self._is_broken = False
        self._is_fallback = False
        self._recognizer: Recognizer | None = open_usual()

    @property
    def bundle(self) -> Bundle:
        """The bundle that transcribes now."""
        return self._loaded().bundle

    def check(self, request: Request) -> None:
        """Check that the bundle that transcribes now can do what is asked.

        Raises:
            RequestError: it cannot; the message says what it can.
        """
        self._loaded().check(request)

    def transcribe(self, waveform: Waveform, request: Request) -> Recognition:
        """Recognize one utterance, with the bundle that is wanted now.

        Raises:
            RequestError: the bundle cannot do what is asked.
            BundleError: the usual bundle cannot be loaded any more; the next call tries again.
        """
        wanted = self._fallback_wanted() and not self._is_broken
        if wanted is not self._is_fallback:
            self._recognizer = None
            gc.collect()  # the old one's memory must be free before the new one needs it
            self._is_fallback = wanted
        return self._loaded().transcribe(waveform, request)

    def partial(
        self, waveform: Waveform, request: Request, previous: PartialText | None
    ) -> PartialText | None:
        """Return what is being said, from the bundle that transcribes now."""
        return self._loaded().partial(waveform, request, previous)

    def _loaded(self) -> Recognizer:
        if self._recognizer is None:
            try:
                self._recognizer = self._open[self._is_fallback]()
            except EdgeAsrError as error:
                if not self._is_fallback:
                    raise
                # No utterance may count as failed because a bundle is.
                self._complain(f"the fallback is not used: {error}")
                self._is_broken, self._is_fallback = True, False
                self._recognizer = self._open[False]()
        return self._recognizer
