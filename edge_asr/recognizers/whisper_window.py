"""How much of Whisper's window of 30 s an utterance needs.

Whisper was trained on windows of 30 s, silence appended. Encoding only as much as was said takes a
fraction of the time, but published weights then mostly miss the end and repeat themselves. How much
must follow the utterance depends on the weights; the export knows, and the manifest says it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FRAME_SAMPLES = 320
"""Samples of one encoder frame: 20 ms."""
FULL_WINDOW = 1500
"""Encoder frames of the window that Whisper was trained on."""
FEATURES_PER_FRAME = 2
"""The encoder's second convolution halves the frames."""
_BUCKET = 25
"""Windows are multiples of half a second: few shapes, so that working memory is used again."""

MOST_TOGETHER = 8
"""Utterances in one batch of the decoder: the eighth still saves something (docs/whisper.md)."""
MOST_FRAMES_TOGETHER = 3000
"""Of all utterances together: each has keys and values of its sound, 12 MB for 10 s in
whisper-base."""
_MOST_PADDING = 50
"""Frames that a window may get beyond its own, for company: a second."""


class Window(msgspec.Struct, frozen=True):
    """The ``window`` section of a Whisper bundle's manifest."""

    margin: int
    """Encoder frames behind the utterance."""

    def n_frames(self, n_samples: int) -> int:
        """Return the encoder frames that an utterance of ``n_samples`` is heard in."""
        needed = -(-n_samples // FRAME_SAMPLES) + self.margin
        return min(-(-needed // _BUCKET) * _BUCKET, FULL_WINDOW)


def companies(n_frames: Sequence[int]) -> Iterator[list[int]]:
    """Yield which utterances are decoded in company, longest first.

    The longest of a company sets the window of all; none gets more than a second beyond its own.

    Args:
        n_frames: of each one's own window.
    """
    company: list[int] = []
    for each in sorted(range(len(n_frames)), key=lambda each: -n_frames[each]):
        if company and n_frames[each] < n_frames[company[0]] - _MOST_PADDING:
            yield company
            company = []
        company.append(each)
    if company:
        yield company
