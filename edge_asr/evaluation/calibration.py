"""Whether a recognizer's confidence means what it says.

The confidence of a text is the geometric mean of its tokens' probabilities, ``exp(avg_logprob)``.
It is calibrated where, of the words written with confidence 0.8, 80 % are right. The expected
calibration error is the mean distance between the two over groups of like confidence, weighed by
words (Naeini et al., 2015); how well confidence sorts wrong from right texts is the area under the
ROC curve, 0.5 being chance.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_asr.evaluation.measuring import Scored

MAX_GROUPS = 10
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


def calibration(scored: Iterable[Scored]) -> Calibration | None:
    """Return the reliability of one system; None where it cannot say how sure it is."""
    known: list[tuple[float, int, int]] = []
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
    known.sort()
    n_words = sum(written for _, _, written in known)
    groups = tuple(_groups(known, max(_MIN_WORDS, n_words / MAX_GROUPS)))
    error = sum(abs(group.confidence - group.right) * group.n_words for group in groups) / n_words
    return Calibration(groups, error, _auc(flawless, flawed))


def _groups(known: Sequence[tuple[float, int, int]], n_wanted: float) -> Iterable[Group]:
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
