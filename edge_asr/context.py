"""What was said before an utterance."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_asr.records import Waveform


@dataclass(frozen=True, slots=True)
class Said:
    """One utterance, as far as it was understood."""

    text: str
    waveform: Waveform | None = field(default=None, compare=False, repr=False)
    """Its sound, while it may still help."""


@dataclass(frozen=True, slots=True)
class Context:
    """The end of what was said just before an utterance."""

    said: tuple[Said, ...]
    """The latest last."""
    language: str | None
    """ISO 639-1; None: whatever the utterance is in."""

    @property
    def text(self) -> str:
        """All of its text."""
        return " ".join(each.text for each in self.said)
