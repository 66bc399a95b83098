"""whisper.cpp (pywhispercpp), as a worker of the benchmark runs it: greedy, its default context.

Its guards stay as they are by default. It writes no timestamps, which saves it tokens.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.whisper.protocol import Model


def load(model: Model) -> Callable[[Any, str], tuple[str, tuple[str, ...]]]:
    """Load a model, and return what transcribes with it."""
    from pywhispercpp.model import Model as WhisperCpp

    loaded = WhisperCpp(
        model.path,
        n_threads=model.n_threads,
        print_progress=False,
        no_timestamps=True,
        redirect_whispercpp_logs_to=None,
    )

    def transcribe(waveform: Any, language: str) -> tuple[str, tuple[str, ...]]:  # noqa: ANN401
        found = loaded.transcribe(waveform, language=language)
        return " ".join(segment.text.strip() for segment in found), ()

    return transcribe
