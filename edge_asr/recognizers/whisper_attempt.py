"""What comes of hearing an utterance in one window with Whisper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.recognizers.decoding import MAX_COMPRESSION_RATIO, compression_ratio

if TYPE_CHECKING:
    from edge_asr.recognizers.decoding import Decoded, Logits
    from edge_asr.records import Word

MIN_AVG_LOGPROB = -1.0
"""Whisper's threshold for text to be doubted."""
MAX_NO_SPEECH_PROBABILITY = 0.6
"""Whisper's threshold: above it, doubted text is taken for invented."""
NO_SPEECH_FLAG = "no_speech"
FULL_WINDOW_FLAG = "full_window"
"""Not a doubt: the short window's text was doubted, and this one is the full window's."""


@dataclass(frozen=True, slots=True)
class Prompted:
    """What the decoder answers to its prompt."""

    language: str
    probability: float | None
    """Of the language, when it was detected."""
    no_speech: float
    """Probability that nothing was said."""
    logits: Logits
    """Of the first token; what may not come is minus infinity."""
    n_tokens: int
    """How many were fed."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """What came of one window."""

    text: str
    language: str
    language_probability: float | None
    avg_logprob: float
    flags: tuple[str, ...]
    words: tuple[Word, ...] = ()


def judged(text: str, decoded: Decoded, prompted: Prompted) -> Attempt:
    """Return a text with the reasons to doubt it.

    Whisper's rule: unlikely text over what is probably no speech was invented, and is left out.
    """
    flags = list(decoded.flags)
    if not flags and compression_ratio(text) > MAX_COMPRESSION_RATIO:
        flags.append("repetition")
    if decoded.avg_logprob < MIN_AVG_LOGPROB:
        if prompted.no_speech > MAX_NO_SPEECH_PROBABILITY:
            text, flags = "", [NO_SPEECH_FLAG]
        else:
            flags.append("low_probability")
    return Attempt(text, prompted.language, prompted.probability, decoded.avg_logprob, tuple(flags))
