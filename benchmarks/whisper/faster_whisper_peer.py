"""faster-whisper (CTranslate2, int8, beam 1), as a worker of the benchmark runs it.

Its guards stay as they are by default: what it doubts is decoded again at higher temperatures. It
writes no timestamps, which saves it tokens, as this project saves them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.whisper.protocol import Model


def load(model: Model) -> Callable[[Any, str], tuple[str, tuple[str, ...]]]:
    """Load a model, and return what transcribes with it."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel

    loaded = WhisperModel(
        model.path, device="cpu", compute_type="int8", cpu_threads=model.n_threads
    )
    options: dict[str, Any] = {"beam_size": 1, "without_timestamps": True}
    system: Any = loaded
    if model.batch_size:
        system = BatchedInferencePipeline(model=loaded)
        options["batch_size"] = model.batch_size

    def transcribe(waveform: Any, language: str) -> tuple[str, tuple[str, ...]]:  # noqa: ANN401
        segments, _ = system.transcribe(waveform, language=language, **options)
        return " ".join(segment.text.strip() for segment in segments), ()

    return transcribe
