"""Whether a recognizer's confidence means what it says.

The confidence of a text is the geometric mean of its tokens' probabilities, ``exp(avg_logprob)``.
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
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_asr.evaluation.measuring import Scored

_Text: TypeAlias = tuple[float, int, int]
"""Confidence, words that are right, words written."""
MAX_GROUPS = 10
_EXPONENTS = np.linspace(0.1, 3.0, 146)
"""What is tried: steps of 0.02."""
_SURE = 1e-3
"""No text is surer than this, in either way."""
_MIN_WORDS = 50
"""Fewer words in a group say nothing."""


@dataclass(frozen=True, slots=True)
class Group:
    """Texts of like confidence."""

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
    """Chance that a flawless text is surer than one with an error; None where all are alike."""
    exponent: float
    """Confidence to this power is calibrated best on these clips."""
    error_with_exponent: float
    """Expected calibration error of one half of the clips with the exponent of the other, both ways
    about, 0 to 1."""


def calibration(scored: Iterable[Scored]) -> Calibration | None:
    """Return the reliability of one system; None where it cannot say how sure it is."""
    known: list[_Text] = []
    flawless: list[float] = []
    flawed: list[float] = []
    for each in scored:
        if each.heard.avg_logprob is None or not each.clip.is_speech or not each.errors.n_written:
            continue
        confidence = math.exp(each.heard.avg_logprob)
        known.append((confidence, each.errors.n_right, each.errors.n_written))
        (flawed if each.errors.n_errors else flawless).append(confidence)
    if not known:
        return None
    halves = known[::2], known[1::2]  # in the order of the clips, not of confidence
    held_out = [
        text
        for fitted, half in (halves, halves[::-1])
        for text in _raised(half, _exponent(fitted or half))
    ]
    groups = _grouped(known)
    return Calibration(
        groups,
        _error(groups),
        _auc(flawless, flawed),
        _exponent(known),
        _error(_grouped(held_out)),
    )


def _grouped(known: Iterable[_Text]) -> tuple[Group, ...]:
    """Return texts in groups of like confidence."""
    texts = sorted(known)
    n_words = sum(written for *_, written in texts)
    return tuple(_groups(texts, max(_MIN_WORDS, n_words / MAX_GROUPS)))


def _error(groups: Sequence[Group]) -> float:
    distances = sum(abs(group.confidence - group.right) * group.n_words for group in groups)
    return distances / sum(group.n_words for group in groups)


def _raised(known: Iterable[_Text], exponent: float) -> list[_Text]:
    return [(confidence**exponent, right, written) for confidence, right, written in known]


def _exponent(known: Sequence[_Text]) -> float:
    """Return the exponent that makes what was right and wrong likeliest."""
    confidence, right, written = (
        np.array(each, dtype=np.float64) for each in zip(*known, strict=True)
    )
    raised = np.clip(confidence ** _EXPONENTS[:, np.newaxis], _SURE, 1 - _SURE)
    likelihoods = right * np.log(raised) + (written - right) * np.log1p(-raised)
    return float(_EXPONENTS[likelihoods.sum(axis=1).argmax()])


def _groups(known: Sequence[_Text], n_wanted: float) -> Iterable[Group]:
    """Yield neighbours together, at least ``n_wanted`` words each; the last takes the rest."""
    rest = list(known)
    while rest:
        taken, n_words = 0, 0
        while taken < len(rest) and n_words < n_wanted:
            n_words += rest[taken][2]
            taken += 1
        if sum(written for *_, written in rest[taken:]) < n_wanted / 2:
            taken = len(rest)
        group, rest = rest[:taken], rest[taken:]
        n_words = sum(written for *_, written in group)
        confidence = sum(each * written for each, _, written in group) / n_words
        yield Group(confidence, sum(right for _, right, _ in group) / n_words, n_words)


def _auc(higher: Sequence[float], lower: Sequence[float]) -> float | None:
    """Return how often one of ``higher`` is above one of ``lower``; a tie counts half."""
    if not higher or not lower:
        return None
    above = np.subtract.outer(np.array(higher), np.array(lower))
    return float(((above > 0) + 0.5 * (above == 0)).mean())
