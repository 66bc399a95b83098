"""Cut sound of any length into the frames that the voice activity detector takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge_asr.records import Waveform

FRAME_SAMPLES = 512
"""Samples in one frame: 32 ms, what Silero's 16 kHz graph takes."""


class Framer:
    """Keeps what does not fill a frame until more comes."""

    def __init__(self) -> None:
        self._rest = np.zeros(0, np.float32)
        self.position = 0
        """How many samples the frames handed out so far hold, padding included."""

    def push(self, waveform: Waveform) -> Waveform:
        """Return the whole frames there are now: shape ``(n * 512,)``, ``n`` may be 0."""
        sound = np.concatenate([self._rest, waveform]) if len(self._rest) else waveform
        n_whole = len(sound) - len(sound) % FRAME_SAMPLES
        self._rest = sound[n_whole:].copy()
        self.position += n_whole
        return sound[:n_whole]

    def flush(self) -> Waveform:
        """Return what is left as one frame, filled up with zeros; nothing if nothing is left."""
        missing = -len(self._rest) % FRAME_SAMPLES
        frame = np.concatenate([self._rest, np.zeros(missing, np.float32)])
        self._rest = np.zeros(0, np.float32)
        self.position += len(frame)
        return frame
