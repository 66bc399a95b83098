"""Recognizers: a waveform in, a recognition out. One file per model family.

:func:`open_recognizer` is the only place that knows all families.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from edge_asr.errors import BundleError

if TYPE_CHECKING:
    from edge_asr.bundle import Bundle
    from edge_asr.records import PartialText, Recognition, Request, Waveform


class Recognizer(Protocol):
    """Turns speech into text."""

    @property
    def bundle(self) -> Bundle:
        """The bundle it runs."""

    def check(self, request: Request) -> None:
        """Check that the bundle can do what is asked.

        Raises:
            RequestError: it cannot; the message says what it can.
        """

    def transcribe(self, waveform: Waveform, request: Request) -> Recognition:
        """Recognize one utterance.

        Args:
            waveform: float32, shape ``(n_samples,)``, 16 kHz mono; what is longer than the
                family hears at once is cut at pauses, recognized in pieces, and joined.
            request: what to do with it.

        Raises:
            RequestError: the bundle cannot do what is asked.
        """

    def partial(
        self, waveform: Waveform, request: Request, previous: PartialText | None
    ) -> PartialText | None:
        """Return what an utterance that is still being spoken says so far.

        Args:
            waveform: from its beginning, as far as it was spoken.
            request: what is to be done with it in the end.
            previous: what this method returned for a shorter beginning of it, or None.

        Returns:
            None where the family, or the request, has no text before the end.
        """


def open_recognizer(bundle: Bundle, *, n_threads: int) -> Recognizer:
    """Load the recognizer of a verified bundle's family.

    Raises:
        BundleError: no recognizer runs this family, or its graphs cannot be loaded.
    """
    family = bundle.manifest.family
    if family == "whisper":
        from edge_asr.recognizers.whisper import WhisperRecognizer  # noqa: PLC0415 (see families)

        return WhisperRecognizer(bundle, n_threads=n_threads)
    if family == "granite":
        from edge_asr.recognizers.granite import GraniteRecognizer  # noqa: PLC0415

        return GraniteRecognizer(bundle, n_threads=n_threads)
    raise BundleError(f"bundle {bundle.name} is of the family {family}, which does not transcribe")
