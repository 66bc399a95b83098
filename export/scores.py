"""Word error rates, with Whisper's own text normalisation. Japanese is scored by character."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from export.clips import Clip

_UNSPACED = frozenset({"ja", "zh", "yue", "th", "lo", "my", "km", "bo"})
"""Languages written without spaces between words."""


@dataclass(frozen=True, slots=True)
class Errors:
    """Word errors (or character errors, for languages without spaces) over some clips."""

    n_errors: int = 0
    """Substitutions, deletions and insertions."""
    n_words: int = 0
    """Words of the references."""

    def __add__(self, other: Errors) -> Errors:
        return Errors(self.n_errors + other.n_errors, self.n_words + other.n_words)

    @property
    def wer(self) -> float:
        """Word error rate in percent."""
        return 100.0 * self.n_errors / self.n_words if self.n_words else 0.0


def normalised(text: str, language: str) -> str:
    """Return ``text`` as it is compared."""
    plain = str(_normalizer(language)(text))
    return " ".join(plain.replace(" ", "")) if language in _UNSPACED else plain


@cache
def _normalizer(language: str) -> Any:  # noqa: ANN401 (the library is untyped)
    if language == "en":
        from whisper_normalizer.english import EnglishTextNormalizer

        return EnglishTextNormalizer()
    from whisper_normalizer.basic import BasicTextNormalizer

    return BasicTextNormalizer()


def count_errors(reference: str, hypothesis: str, language: str) -> Errors:
    """Count the errors of one text against what was said."""
    import jiwer

    said, heard = normalised(reference, language), normalised(hypothesis, language)
    if not said:
        return Errors(len(heard.split()), 0)
    found = jiwer.process_words(said, heard)
    return Errors(found.substitutions + found.deletions + found.insertions, len(said.split()))


def errors_by_language(clips: Sequence[Clip], texts: Iterable[str]) -> dict[str, Errors]:
    """Sum the errors of each language, and of all under ``all``."""
    totals: dict[str, Errors] = {}
    for clip, text in zip(clips, texts, strict=True):
        found = count_errors(clip.text, text, clip.language)
        for group in ("all", clip.language):
            totals[group] = totals.get(group, Errors()) + found
    return totals
