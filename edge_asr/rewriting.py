"""What is changed in every text after recognition, in this order: numbers, then a site's rules.

The rules have the last word, so that whoever wrote them sees what they were written for. Pure: text
in, text out. In the log each step is a version of its own (:mod:`edge_asr.correcting`); what has no
log (``transcribe``, the API) keeps the text as it was heard beside the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from edge_asr.numerals import Numerals
from edge_asr.rules import Rules
from edge_asr.word_times import words_moved

if TYPE_CHECKING:
    from edge_asr.formats import FileTranscript, Segment
    from edge_asr.settings import Config


class Step(Protocol):
    """One of the changes."""

    @property
    def name(self) -> str:
        """What a version says it was made by, in the place of a bundle's name."""

    @property
    def sha256(self) -> str:
        """SHA-256 of all that decides about the result."""

    def apply(self, text: str, language: str) -> str:
        """Return the changed text, which may be the same; the language is ISO 639-1."""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """All steps, in order; without any, nothing is changed."""

    steps: tuple[Step, ...] = ()

    def after(self, maker: str) -> tuple[Step, ...]:
        """Return what is still to be done to the text of a version that ``maker`` made."""
        names = [step.name for step in self.steps]
        return self.steps[names.index(maker) + 1 :] if maker in names else self.steps

    def apply(self, text: str, language: str) -> str:
        """Return the text after all steps."""
        for step in self.steps:
            text = step.apply(text, language)
        return text

    def of_segment(self, segment: Segment) -> Segment:
        """Return a segment with its text rewritten, and the one that was heard beside it."""
        text = self.apply(segment.text, segment.language or "und")
        if text == segment.text:
            return segment
        return replace(
            segment, text=text, heard=segment.text, words=words_moved(text, segment.words)
        )

    def of_file(self, found: FileTranscript) -> FileTranscript:
        """Return a file's transcript with every segment rewritten."""
        if not self.steps:
            return found
        return replace(found, segments=tuple(map(self.of_segment, found.segments)))


def configured(config: Config, *, numerals: bool | None = None) -> Rewriting:
    """Return what is configured.

    Args:
        config: the settings.
        numerals: what was asked for, instead of ``recognition.numerals``; None: nothing was.

    Raises:
        ConfigError: numbers are to be written as digits, and the extra for that is missing.
    """
    wants_digits = config.recognition.numerals if numerals is None else numerals
    rules = Rules(tuple(config.corrections))
    return Rewriting((*((Numerals(),) if wants_digits else ()), *((rules,) if rules else ())))
