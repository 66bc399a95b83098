"""What comes of hearing an utterance in one window with Whisper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_asr.recognizers.decoding import Logits
    from edge_asr.records import Word


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
