"""How much of Whisper's window of 30 s an utterance needs.

Whisper was trained on windows of 30 s, silence appended. Encoding only as much as was said takes a
fraction of the time, but published weights then mostly miss the end and repeat themselves. How much
must follow the utterance depends on the weights; the export knows, and the manifest says it.
"""

from __future__ import annotations

import msgspec

FRAME_SAMPLES = 320
"""Samples of one encoder frame: 20 ms."""
FULL_WINDOW = 1500
"""Encoder frames of the window that Whisper was trained on."""
FEATURES_PER_FRAME = 2
"""The encoder's second convolution halves the frames."""
_BUCKET = 25
"""Windows are multiples of half a second: few shapes, so that working memory is used again."""


class Window(msgspec.Struct, frozen=True):
    """The ``window`` section of a Whisper bundle's manifest."""

    margin: int
    """Encoder frames behind the utterance."""

    def n_frames(self, n_samples: int) -> int:
        """Return the encoder frames that an utterance of ``n_samples`` is heard in."""
        needed = -(-n_samples // FRAME_SAMPLES) + self.margin
        return min(-(-needed // _BUCKET) * _BUCKET, FULL_WINDOW)
