"""Errors of one text against what was said, after Whisper's own text normalisation.

English has a normaliser of its own (numbers, spellings, contractions), other languages the plain
one (Radford et al., 2022, appendix C). Languages written without spaces are counted by character:
what is a word there is a matter of taste. The one door to jiwer and whisper-normalizer.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

from edge_asr.errors import EvaluationError

if TYPE_CHECKING:
    from collections.abc import Iterator

UNSPACED = frozenset({"ja", "zh", "yue", "th", "lo", "my", "km", "bo"})
"""Languages written without spaces between words."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Errors in words (in characters, for languages without spaces) over some clips."""

    substitutions: int = 0
    deletions: int = 0
    insertions: int = 0
    n_words: int = 0
    """Words of the references."""

    def __add__(self, other: Errors) -> Errors:
        return Errors(
            self.substitutions + other.substitutions,
            self.deletions + other.deletions,
            self.insertions + other.insertions,
            self.n_words + other.n_words,
        )

    @property
    def n_errors(self) -> int:
        """Substitutions, deletions and insertions."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def n_written(self) -> int:
        """Words of the recognizer's text."""
        return self.n_words - self.deletions + self.insertions

    @property
    def n_right(self) -> int:
        """Words that were said and written."""
        return self.n_words - self.deletions - self.substitutions

    @property
    def wer(self) -> float:
        """Word error rate (character error rate) in percent."""
        return 100.0 * self.n_errors / self.n_words if self.n_words else 0.0


class Difference(StrEnum):
    """How a stretch of text relates to what was said."""

    EQUAL = "equal"
    SUBSTITUTED = "substitute"
    DELETED = "delete"
    INSERTED = "insert"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Words in a row that are alike, or different in one way."""

    difference: Difference
    said: str
    heard: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """One text held against what was said."""

    errors: Errors
    stretches: tuple[Stretch, ...]
    """In order; normalised words."""
    written: tuple[tuple[str, bool], ...]
    """Each normalised word of the text (character, where these are counted), and whether it was
    said."""


def compare(reference: str, hypothesis: str, language: str) -> Comparison:
    """Hold one text against what was said.

    Raises:
        EvaluationError: the libraries for it are not installed.
    """
    with _libraries():
        import jiwer  # noqa: PLC0415 (an extra)

        said, heard = normalised(reference, language), normalised(hypothesis, language)
    if not said:
        extra = (Stretch(Difference.INSERTED, "", heard),) if heard else ()
        invented = tuple((word, False) for word in heard.split())
        return Comparison(Errors(insertions=len(invented)), extra, invented)
    found = jiwer.process_words(said, heard)
    words, written = said.split(), heard.split()
    joint = "" if language in UNSPACED else " "
    stretches = tuple(
        Stretch(
            Difference(chunk.type),
            joint.join(words[chunk.ref_start_idx : chunk.ref_end_idx]),
            joint.join(written[chunk.hyp_start_idx : chunk.hyp_end_idx]),
        )
        for chunk in found.alignments[0]
    )
    errors = Errors(found.substitutions, found.deletions, found.insertions, len(words))
    right = tuple(
        (word, Difference(chunk.type) is Difference.EQUAL)
        for chunk in found.alignments[0]
        for word in written[chunk.hyp_start_idx : chunk.hyp_end_idx]
    )
    return Comparison(errors, stretches, right)


def count_errors(reference: str, hypothesis: str, language: str) -> Errors:
    """Count the errors of one text against what was said."""
    return compare(reference, hypothesis, language).errors


def normalised(text: str, language: str) -> str:
    """Return ``text`` as it is compared: words with spaces between, or characters."""
    plain = str(_normalizer(language)(text))
    return " ".join(plain.replace(" ", "")) if language in UNSPACED else " ".join(plain.split())


def has_keyword(keyword: str, text: str, language: str) -> bool:
    """Tell whether a keyword stands in a text, word for word, both normalised."""
    return f" {normalised(keyword, language)} " in f" {normalised(text, language)} "


@cache
def _normalizer(language: str) -> Any:  # noqa: ANN401 (the library is untyped)
    with _libraries():
        if language == "en":
            from whisper_normalizer.english import EnglishTextNormalizer  # noqa: PLC0415

            return EnglishTextNormalizer()
        from whisper_normalizer.basic import BasicTextNormalizer  # noqa: PLC0415

        return BasicTextNormalizer()


@contextmanager
def _libraries() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise EvaluationError(
            f"{error.name} is not installed; texts are compared with the extra 'evaluate': "
            "pip install 'edge-asr[evaluate]'"
        ) from error
