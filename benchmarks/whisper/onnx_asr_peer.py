"""onnx-asr, as a worker of the benchmark runs it: greedy, int8, no guards."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.whisper.protocol import Model


def load(model: Model) -> Callable[[Any, str], tuple[str, tuple[str, ...]]]:
    """Load a folder that Optimum exported, and return what transcribes with it."""
    os.putenv("ORT_DISABLE_TELEMETRY", "1")
    import onnx_asr
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = model.n_threads
    loaded = onnx_asr.load_model("whisper", model.path, quantization="int8", sess_options=options)

    def transcribe(waveform: Any, language: str) -> tuple[str, tuple[str, ...]]:  # noqa: ANN401
        return str(loaded.recognize(waveform, language=language)), ()

    return transcribe
