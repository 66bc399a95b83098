"""How likely each frame is speech: Silero's voice activity detector, from a bundle.

The graph takes any number of frames in a row per call, which costs half as much per frame as one at
a time, and gives the same answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.capture.framing import FRAME_SAMPLES
from edge_asr.errors import BundleError
from edge_asr.records import SAMPLE_RATE
from edge_asr.sessions import open_session, tensor

if TYPE_CHECKING:
    from edge_asr.bundle import Bundle
    from edge_asr.records import Waveform
    from edge_asr.sessions import Session

    Probabilities = np.ndarray[tuple[int], np.dtype[np.float32]]
    """float32, shape ``(n_frames,)``, each 0 to 1."""

GRAPH = "silero_vad_16k_sequence.onnx"
_CONTEXT_SAMPLES = 64
"""Samples of the frame before, which the graph wants in front of each frame."""
_STATE_SHAPE = (1, 1, 128)
"""Of the graph's two recurrent states, ``h`` and ``c``."""
_MODEL = {
    "sample_rate": SAMPLE_RATE,
    "frame_samples": FRAME_SAMPLES,
    "context_samples": _CONTEXT_SAMPLES,
}


class SileroVad:
    """Listens to one stream. It remembers what it heard, so each stream needs its own."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.reset()

    def reset(self) -> None:
        """Forget what was heard: another stream begins, or sound is missing here."""
        self._state = tensor(np.zeros(_STATE_SHAPE, np.float32))
        self._cell = tensor(np.zeros(_STATE_SHAPE, np.float32))
        self._context = np.zeros(_CONTEXT_SAMPLES, np.float32)

    def probabilities(self, waveform: Waveform) -> Probabilities:
        """Return the speech probability of each of the next frames.

        Args:
            waveform: whole frames, shape ``(n_frames * 512,)``.

        Raises:
            ValueError: there is a part of a frame.
        """
        if len(waveform) % FRAME_SAMPLES:
            raise ValueError(f"{len(waveform)} samples are not whole frames of {FRAME_SAMPLES}")
        if not len(waveform):
            return np.zeros(0, np.float32)
        sound = np.concatenate([self._context, waveform])
        self._context = sound[-_CONTEXT_SAMPLES:]
        # Each row is a frame with the end of the one before it in front: rows overlap.
        windows = np.lib.stride_tricks.sliding_window_view(sound, _CONTEXT_SAMPLES + FRAME_SAMPLES)
        outputs = self._session.run(
            {"input": tensor(windows[::FRAME_SAMPLES]), "h": self._state, "c": self._cell},
            ["speech_probs", "hn", "cn"],
        )
        self._state, self._cell = outputs["hn"], outputs["cn"]
        probabilities: Probabilities = outputs["speech_probs"].numpy()
        return probabilities


def open_vad(bundle: Bundle) -> SileroVad:
    """Open the detector of a verified bundle of family ``silero-vad``.

    Raises:
        BundleError: the bundle is for other frames or another rate, or its graph cannot be loaded.
    """
    if bundle.manifest.model != _MODEL:
        raise BundleError(
            f"bundle {bundle.name} has {bundle.manifest.model}, where {_MODEL} is needed; "
            "export it again with this version of edge-asr",
        )
    # One thread: the graph is too small to share, and idle workers cost more than it does.
    return SileroVad(open_session(bundle, GRAPH, n_threads=1))
