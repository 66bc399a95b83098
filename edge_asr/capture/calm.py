"""Does anything stir? How loud sound is, against the noise there has been.

This never says whether somebody speaks. It says for which sound the detector that does may be
asked a moment later, with more of it at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.capture.framing import FRAME_SAMPLES
from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from edge_asr.records import Waveform

_STIRS = 2.0
"""Times the noise's power: 3 dB, more than steady noise varies from frame to frame."""
_RISE_PER_FRAME = 10 ** (0.1 * FRAME_SAMPLES / SAMPLE_RATE)
"""How fast the noise may grow and still be noise: 1 dB in a second."""
_LEAST_POWER = 1e-9
"""-90 dBFS, one step of 16-bit sound: below it all is silence."""


class Calm:
    """Follows the noise of one source. It falls to what is heard at once, and rises slowly."""

    def __init__(self) -> None:
        self._noise: float | None = None

    def holds(self, frames: Waveform) -> bool:
        """Say whether the loudest of these frames is no louder than the noise before them.

        Args:
            frames: shape ``(n_frames * 512,)``, at least one.
        """
        rows = frames.reshape(-1, FRAME_SAMPLES)
        loudest = float(np.einsum("ij,ij->i", rows, rows).max()) / FRAME_SAMPLES
        power = max(loudest, _LEAST_POWER)
        noise = self._noise
        if noise is None:
            self._noise = power
            return False
        self._noise = min(power, noise * _RISE_PER_FRAME ** len(rows))
        return power < noise * _STIRS
