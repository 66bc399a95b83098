"""What every measurement of the benchmark needs: who takes part, and where things are."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.whisper.contest import Entrant
from benchmarks.whisper.protocol import Model

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.whisper.ggml import Format
    from benchmarks.whisper.weights import Weights
    from edge_asr.evaluation.clips import Clip

OURS, OURS_PUBLISHED = "edge-asr", "edge-asr, full window, published weights"
OURS_FILES = "edge-asr transcribe"
FASTER_WHISPER, FASTER_WHISPER_BATCHED = "faster-whisper", "faster-whisper batched"
WHISPER_CPP, ONNX_ASR = "whisper.cpp", "onnx-asr"
PEERS = (FASTER_WHISPER, WHISPER_CPP, ONNX_ASR)
_BATCH = 8
"""faster-whisper's own default."""


@dataclass(frozen=True, slots=True)
class Bench:
    """One run of the benchmark."""

    clips: list[Clip]
    weights: dict[str, Weights]
    """By the name of the bundle."""
    ggml: Format
    """The fastest of whisper.cpp's formats on this machine."""
    peers_python: Path
    folder: Path
    """For what is written on the way."""
    repeats: int
    tell: Callable[[str], None]

    @property
    def english(self) -> list[Clip]:
        """Clips in which English is spoken."""
        return [clip for clip in self.clips if clip.language == "en" and clip.is_speech]

    def entrant(self, system: str, name: str, n_threads: int) -> Entrant:
        """Return one system with the weights of a bundle.

        Args:
            system: one of the names above.
            name: of the bundle.
            n_threads: that it may use.
        """
        weights = self.weights[name]
        models = {
            OURS: Model("edge-asr", str(weights.bundle), n_threads),
            OURS_PUBLISHED: Model("edge-asr", str(weights.published), n_threads, full_window=True),
            OURS_FILES: Model("edge-asr transcribe", str(weights.bundle), n_threads),
            FASTER_WHISPER: Model("faster-whisper", str(weights.ctranslate2), n_threads),
            FASTER_WHISPER_BATCHED: Model(
                "faster-whisper", str(weights.ctranslate2), n_threads, batch_size=_BATCH
            ),
            WHISPER_CPP: Model("whisper.cpp", str(weights.ggml[self.ggml]), n_threads),
            ONNX_ASR: Model("onnx-asr", str(weights.onnx_asr), n_threads),
        }
        python = Path(sys.executable) if system.startswith(OURS) else self.peers_python
        return Entrant(system, models[system], python)

    def peers_of(self, name: str) -> list[str]:
        """Return the peers that have a model's weights."""
        has_all = self.weights[name].onnx_asr is not None
        return [peer for peer in PEERS if peer != ONNX_ASR or has_all]
