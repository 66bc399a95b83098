"""Stretches of a text that sound like a keyword.

A model that does not know a word writes what it sounds like: "Kowalczyk" becomes "cowl chick". The
letters are compared by weighted edit distance (Levenshtein, 1966; the weights in the manner of
Editex, Zobel and Dart, 1996): a vowel for a vowel or a consonant for one of its own kind changes
little, and so does a vowel more or less. That is no phonetics of any one language, and generous:
who asks must weigh what is found by the sound.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LEAST_LIKENESS = 0.6
"""Of 154 keywords that whisper-base misheard, all but ten were written at least this much alike."""
_MORE_WORDS = 2
"""An unknown word is often heard as several known ones."""
_SHORTEST, _LONGEST = 0.4, 2.2
"""Letters of a stretch, as shares of the keyword's."""
_KINDS = ("aeiouy", "bp", "dt", "gkcq", "fvw", "szxj", "mn", "lr")
_KIND_OF = {ord(letter): number for number, kind in enumerate(_KINDS) for letter in kind}
_OTHER_OF_ITS_KIND = 0.3
_VOWEL_MORE, _CONSONANT_MORE = 0.4, 0.8
_WRITTEN = (
    *(("sch", "s"), ("tch", "s"), ("ph", "f"), ("ck", "k"), ("ch", "s"), ("sh", "s"), ("th", "t")),
    *(("gh", "g"), ("qu", "kv"), ("x", "ks"), ("wr", "r"), ("kn", "n")),
)
"""Several letters for one sound, and one for several."""
Span = tuple[int, int]
Rows = np.ndarray[tuple[int], np.dtype[np.int64]]
Likenesses = np.ndarray[tuple[int], np.dtype[np.float64]]
_UNSPACED = "\u3040-\u30ff\u3400-\u9fff"
"""Kana and Han: each character counts as a word."""
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W_{_UNSPACED}]+")
"""Parts of compounds are words, and so is what follows an apostrophe."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole words of a text that may have been a keyword."""

    likeness: float
    """1: the same but for spelling; 0: nothing alike."""
    start: int
    end: int
    """Characters of the text."""
    keyword: str

    def replaced_in(self, text: str) -> str:
        """Return the text with the keyword in its place."""
        return text[: self.start] + self.keyword + text[self.end :]


def sounding_alike(text: str, keywords: Sequence[str], most: int) -> list[Stretch]:
    """Return the stretches that sound most like keywords, one for each keyword, best first.

    Words that are a keyword already are no part of any stretch, and figures are never changed: a
    stretch has those of its keyword.

    Args:
        text: as it was recognized.
        keywords: words, or several with spaces between.
        most: how many to return.
    """
    words = [match.span() for match in _WORD.finditer(text)]
    taken = [span for keyword in keywords for span in _spoken(text, words, keyword)]
    n_most = max((len(_WORD.findall(keyword)) for keyword in keywords), default=0) + _MORE_WORDS
    heard = _Heard(text, list(_spans(words, n_most, taken)))
    found = [best for keyword in keywords if (best := heard.best(keyword))]
    return sorted(found, key=lambda stretch: -stretch.likeness)[:most]


def _spoken(text: str, words: Sequence[Span], keyword: str) -> Iterator[Span]:
    """Yield where the keyword stands already."""
    n_words = len(_WORD.findall(keyword))
    for first in range(len(words) - n_words + 1) if n_words else ():
        start, end = words[first][0], words[first + n_words - 1][1]
        if text[start:end].casefold() == keyword.casefold():
            yield start, end


def _spans(words: Sequence[Span], most: int, taken: Sequence[Span]) -> Iterator[Span]:
    """Yield all that may be said as one, up to ``most`` words, without what is taken."""
    for first, (start, _) in enumerate(words):
        for _, end in words[first : first + most]:
            if not any(start < its_end and its_start < end for its_start, its_end in taken):
                yield start, end


class _Heard:
    """The stretches of one text, as letters in rows that are compared all at once."""

    def __init__(self, text: str, spans: Sequence[Span]) -> None:
        self._spans = spans
        self._sounds = [_sounds(text[start:end]) for start, end in spans]
        self._lengths = np.array([len(sounds) for sounds in self._sounds], np.int64)
        self._figures = np.array([_figures(sounds) for sounds in self._sounds])
        self._n_words = np.array([len(_WORD.findall(text[start:end])) for start, end in spans])
        shape = len(spans), max(map(len, self._sounds), default=0)
        self._letters = np.zeros(shape, np.int64)
        for row, sounds in enumerate(self._sounds):
            self._letters[row, : len(sounds)] = [ord(letter) for letter in sounds]
        self._kinds = np.zeros(shape, np.int64)
        self._deleted = np.zeros((shape[0], shape[1] + 1))
        """What it costs to leave out all letters up to here."""
        for letter in np.unique(self._letters):
            here = self._letters == letter
            self._kinds[here] = _kind(int(letter))
            self._deleted[:, 1:][here] = _more(int(letter))
        self._deleted = self._deleted.cumsum(axis=1)

    def best(self, keyword: str) -> Stretch | None:
        """Return the stretch most like a keyword, if one is like it at all."""
        wanted = _sounds(keyword)
        if not wanted:
            return None
        shares = self._lengths / len(wanted)
        fitting = np.flatnonzero(
            (shares >= _SHORTEST)
            & (shares <= _LONGEST)
            & (self._n_words <= len(_WORD.findall(keyword)) + _MORE_WORDS)
            & (self._figures == _figures(wanted))
        )
        if not len(fitting):
            return None
        likenesses = self._likenesses(wanted, fitting)
        best = int(likenesses.argmax())
        if likenesses[best] < LEAST_LIKENESS:
            return None
        start, end = self._spans[fitting[best]]
        return Stretch(float(likenesses[best]), start, end, keyword)

    def _likenesses(self, wanted: str, rows: Rows) -> Likenesses:
        """Return 1 less the edit distance as a share of the longer, row by row."""
        letters, kinds, deleted = self._letters[rows], self._kinds[rows], self._deleted[rows]
        lengths = self._lengths[rows]
        distances = deleted
        for letter in map(ord, wanted):
            near = np.where(kinds == _kind(letter), _OTHER_OF_ITS_KIND, 1.0)
            changed = distances[:, :-1] + np.where(letters == letter, 0.0, near)
            distances = distances + _more(letter)
            distances[:, 1:] = np.minimum(distances[:, 1:], changed)
            # Leaving letters out: a running minimum once their cost is taken off.
            distances = np.minimum.accumulate(distances - deleted, axis=1) + deleted
        found = distances[np.arange(len(rows)), lengths]
        return np.asarray(1.0 - found / np.maximum(lengths, len(wanted)))


def _sounds(text: str) -> str:
    """Return letters and digits, in one case, without accents, simplified."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    sounds = "".join(character for character in plain if character.isalnum())
    for letters, sound in _WRITTEN:
        sounds = sounds.replace(letters, sound)
    return re.sub(r"(\D)\1+", r"\1", sounds)


def _figures(text: str) -> str:
    return "".join(character for character in text if character.isdigit())


def _kind(letter: int) -> int:
    """Return which letters it is easily taken for; one without a kind is its own."""
    return _KIND_OF.get(letter, letter)


def _more(letter: int) -> float:
    """Return what it costs where it is one too many."""
    return _VOWEL_MORE if _kind(letter) == 0 or letter == ord("h") else _CONSONANT_MORE
