"""What was said before an utterance."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Context:
    """The end of what was said just before an utterance, as far as it was understood."""

    text: str
    language: str
    """ISO 639-1."""
