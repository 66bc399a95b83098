"""Whether a recognizer's confidence means what it says.

The confidence of a text is the geometric mean of its tokens' probabilities, ``exp(avg_logprob)``;
that of a word, the mean of its own tokens'.
It is calibrated where, of the words written with confidence 0.8, 80 % are right. The expected
calibration error is the mean distance between the two over groups of like confidence, weighed by
words (Naeini et al., 2015); how well confidence sorts wrong from right texts is the area under the
ROC curve, 0.5 being chance.

One number mends most of it: confidence to the power of an exponent, which scales log-probabilities
as a temperature does (Guo et al., 2017). It is fitted by maximum likelihood; how well it does is
measured on clips that it was not fitted to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_asr.evaluation.scoring import normalised

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_asr.evaluation.measuring import Scored
    from edge_asr.evaluation.scoring import Errors

MAX_GROUPS = 10
_EXPONENTS = np.linspace(0.1, 3.0, 146)
"""What is tried: steps of 0.02."""
_SURE = 1e-3
"""No text is surer than this, in either way."""
_MIN_WORDS = 50
"""Fewer words in a group say nothing."""


class _Said(NamedTuple):
    """A text, or a word."""

    confidence: float
    n_right: int
    n_written: int
    has_error: bool
    """Words may also be missing from a text."""


@dataclass(frozen=True, slots=True)
class Group:
    """Texts, or words, of like confidence."""

    confidence: float
    """Mean over the words, 0 to 1."""
    right: float
    """Share of the words written that were said, 0 to 1."""
    n_words: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """A recognizer's confidence against what was right."""

    groups: tuple[Group, ...]
    """From the least to the most confident."""
    error: float
    """Expected calibration error, 0 to 1."""
    auc: float | None
    """Chance that what is right is surer than what has an error; None where all are alike."""
    exponent: float
    """Confidence to this power is calibrated best on these clips."""
    error_with_exponent: float
    """Expected calibration error of one half of the clips with the exponent of the other, both ways
    about, 0 to 1."""


def calibration(scored: Iterable[Scored]) -> Calibration | None:
    """Return how reliable one system's texts are; None where it cannot say how sure it is."""
    return _calibration(
        [_text(each.heard.avg_logprob, each.errors)]
        for each in scored
        if each.heard.avg_logprob is not None and each.clip.is_speech and each.errors.n_written
    )


def word_calibration(scored: Iterable[Scored]) -> Calibration | None:
    """Return how reliable one system's words are; None where it cannot say how sure it is."""
    return _calibration(
        [
            _Said(probability, int(is_right), 1, not is_right)
            for probability, is_right in word_confidences(each)
        ]
        for each in scored
        if each.clip.is_speech
    )


def word_confidences(scored: Scored) -> list[tuple[float, bool]]:
    """Return the probability of each word that a system wrote, and whether it was said.

    Words are compared normalised, and the normaliser sees the whole text: "twenty three" is one
    word then, which no word of the system is. Such words are left out.
    """
    language, written = scored.clip.language, scored.comparison.written
    known = [
        (each, word.probability)
        for word in scored.heard.words
        if word.probability is not None
        for each in normalised(word.text, language).split()
    ]
    alike = SequenceMatcher(
        None, [each for each, _ in known], [each for each, _ in written], autojunk=False
    )
    return [
        (known[ours + index][1], written[theirs + index][1])
        for ours, theirs, n_words in alike.get_matching_blocks()
        for index in range(n_words)
    ]


def _text(avg_logprob: float, errors: Errors) -> _Said:
    return _Said(math.exp(avg_logprob), errors.n_right, errors.n_written, errors.n_errors > 0)


def _calibration(clips: Iterable[list[_Said]]) -> Calibration | None:
    by_clip = [clip for clip in clips if clip]
    if not by_clip:
        return None
    known = list(chain.from_iterable(by_clip))
    halves = [list(chain.from_iterable(half)) for half in (by_clip[::2], by_clip[1::2])]
    held_out = [
        said
        for fitted, half in (halves, halves[::-1])
        for said in _raised(half, _exponent(fitted or half))
    ]
    groups = _grouped(known)
    flawless = [each.confidence for each in known if not each.has_error]
    flawed = [each.confidence for each in known if each.has_error]
    return Calibration(
        groups,
        _error(groups),
        _auc(flawless, flawed),
        _exponent(known),
        _error(_grouped(held_out)),
    )


def _grouped(known: Iterable[_Said]) -> tuple[Group, ...]:
    """Return texts in groups of like confidence."""
    texts = sorted(known)
    n_words = sum(each.n_written for each in texts)
    return tuple(_groups(texts, max(_MIN_WORDS, n_words / MAX_GROUPS)))


def _error(groups: Sequence[Group]) -> float:
    distances = sum(abs(group.confidence - group.right) * group.n_words for group in groups)
    return distances / sum(group.n_words for group in groups)


def _raised(known: Iterable[_Said], exponent: float) -> list[_Said]:
    return [each._replace(confidence=each.confidence**exponent) for each in known]


def _exponent(known: Sequence[_Said]) -> float:
    """Return the exponent that makes what was right and wrong likeliest."""
    confidence, right, written, _ = np.array(known, dtype=np.float64).T
    raised = np.clip(confidence ** _EXPONENTS[:, np.newaxis], _SURE, 1 - _SURE)
    likelihoods = right * np.log(raised) + (written - right) * np.log1p(-raised)
    return float(_EXPONENTS[likelihoods.sum(axis=1).argmax()])


def _groups(known: Sequence[_Said], n_wanted: float) -> Iterable[Group]:
    """Yield neighbours together, at least ``n_wanted`` words each; the last takes the rest."""
    rest = list(known)
    while rest:
        taken, n_words = 0, 0
        while taken < len(rest) and n_words < n_wanted:
            n_words += rest[taken].n_written
            taken += 1
        if sum(each.n_written for each in rest[taken:]) < n_wanted / 2:
            taken = len(rest)
        group, rest = rest[:taken], rest[taken:]
        n_words = sum(each.n_written for each in group)
        confidence = sum(each.confidence * each.n_written for each in group) / n_words
        yield Group(confidence, sum(each.n_right for each in group) / n_words, n_words)


def _auc(higher: Sequence[float], lower: Sequence[float]) -> float | None:
    """Return how often one of ``higher`` is above one of ``lower``; a tie counts half."""
    if not higher or not lower:
        return None
    above = np.subtract.outer(np.array(higher), np.array(lower))
    return float(((above > 0) + 0.5 * (above == 0)).mean())
