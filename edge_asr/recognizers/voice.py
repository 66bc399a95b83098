"""Whose voice it is: speech -> a vector that is near those of the same speaker.

The network is that of Wan et al., "Generalized End-to-End Loss for Speaker Verification" (2018,
arXiv 1710.10467), as Resemblyzer trained it: three LSTM layers over 40 mel bands, read in windows
of 1.6 s. It was trained on voices in English; the vector of a second or less says little.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.errors import BundleError
from edge_asr.recognizers.features import HOP_LENGTH, N_FFT, mel_spectrogram
from edge_asr.records import SAMPLE_RATE
from edge_asr.sessions import open_session, tensor

if TYPE_CHECKING:
    from edge_asr.bundle import Bundle
    from edge_asr.records import Waveform
    from edge_asr.sessions import Session

    Embedding = np.ndarray[tuple[int], np.dtype[np.float32]]
    """float32, shape ``(256,)``, of length 1."""

FAMILY = "voice-encoder"
GRAPH = "voice_encoder.onnx"
N_MELS = 40
WINDOW_FRAMES = 160
"""1.6 s, which the network was trained on."""
MODEL = {
    "sample_rate": SAMPLE_RATE,
    "n_fft": N_FFT,
    "hop_length": HOP_LENGTH,
    "n_mels": N_MELS,
    "window_frames": WINDOW_FRAMES,
}
"""What a bundle's manifest has to say of its graph."""
_STEP_FRAMES = 77
"""From one window to the next: 1.3 windows a second."""
_LOUDNESS = 10 ** (-30 / 20)
"""Root mean square to which quieter speech is raised: -30 dBFS."""
_MIN_COVERAGE = 0.75
"""The last window counts if speech fills so much of it."""


class VoiceEncoder:
    """Computes the vectors."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def embed(self, waveform: Waveform) -> Embedding:
        """Return the vector of one speaker's speech.

        Args:
            waveform: float32, shape ``(n_samples,)``, 16 kHz; at least one sample.
        """
        loudness = float(np.sqrt(np.mean(np.square(waveform), dtype=np.float64)))
        louder = waveform * max(1.0, _LOUDNESS / max(loudness, 1e-6))
        starts = _window_starts(len(waveform))
        n_frames = starts[-1] + WINDOW_FRAMES
        mel = mel_spectrogram(louder.astype(np.float32), n_mels=N_MELS, n_frames=n_frames)
        windows = np.stack([mel[start : start + WINDOW_FRAMES] for start in starts])
        vectors = self._session.run({"mels": tensor(windows)}, ["vectors"])["vectors"].numpy()
        mean = vectors.mean(axis=0)
        embedding: Embedding = (mean / np.linalg.norm(mean)).astype(np.float32)
        return embedding


def _window_starts(n_samples: int) -> list[int]:
    """Return the first frame of each window over so much speech; there is at least one."""
    n_frames = -(-(n_samples + 1) // HOP_LENGTH)
    starts = list(range(0, max(1, n_frames - WINDOW_FRAMES + _STEP_FRAMES + 1), _STEP_FRAMES))
    if len(starts) > 1 and n_frames - starts[-1] < _MIN_COVERAGE * WINDOW_FRAMES:
        starts.pop()
    return starts


def open_voice_encoder(bundle: Bundle) -> VoiceEncoder:
    """Open the encoder of a verified bundle of family ``voice-encoder``.

    Raises:
        BundleError: the bundle is for other features, or its graph cannot be loaded.
    """
    if bundle.manifest.model != MODEL:
        raise BundleError(
            f"bundle {bundle.name} has {bundle.manifest.model}, where {MODEL} is needed; "
            "export it again with this version of edge-asr",
        )
    return VoiceEncoder(open_session(bundle, GRAPH, n_threads=1))
