"""How far chance carries an error rate: the bootstrap over clips.

Clips are drawn with replacement as often as there are clips, a thousand times; the interval holds
the middle 95 % of the rates (Bisani and Ney, 2004). Two systems are compared on the same draws,
clip by clip, so that what is hard for both cancels out. The draws are the same every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.evaluation.scoring import Errors

N_DRAWS = 1000
MIN_CLIPS = 5
"""Draws from fewer clips are all alike, which is no certainty."""
_TAILS = (2.5, 97.5)
_SEED = 20_040_517


class Interval(NamedTuple):
    """A figure and where it lies with 95 % confidence, given clips like these."""

    value: float
    low: float | None
    """None where there are too few clips to say."""
    high: float | None


def error_rate(errors: Sequence[Errors]) -> Interval:
    """Return the error rate over clips, percent."""
    wrong, words = _columns(errors)
    drawn = _draws(len(errors))
    return _interval(
        _rate(wrong.sum(), words.sum()), _rate(wrong[drawn], words[drawn]), len(errors)
    )


def difference(errors: Sequence[Errors], baseline: Sequence[Errors]) -> Interval:
    """Return how many points the error rate lies above a baseline's on the same clips.

    Args:
        errors: of each clip.
        baseline: of the same clips in the same order.
    """
    (wrong, words), (wrong_before, words_before) = _columns(errors), _columns(baseline)
    drawn = _draws(len(errors))
    value = _rate(wrong.sum(), words.sum()) - _rate(wrong_before.sum(), words_before.sum())
    draws = _rate(wrong[drawn], words[drawn]) - _rate(wrong_before[drawn], words_before[drawn])
    return _interval(value, draws, len(errors))


Numbers = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def _columns(errors: Sequence[Errors]) -> tuple[Numbers, Numbers]:
    """Return how many words of each clip are wrong, and how many it has."""
    wrong = np.array([each.n_errors for each in errors], dtype=np.float64)
    words = np.array([each.n_words for each in errors], dtype=np.float64)
    return wrong, words


def _draws(n_clips: int) -> np.ndarray[tuple[int, int], np.dtype[np.int64]]:
    """Return indices of clips, shape ``(n_draws, n_clips)``."""
    return np.random.default_rng(_SEED).integers(0, n_clips, (N_DRAWS, n_clips))


def _rate(wrong: Numbers, words: Numbers) -> Numbers:
    """Return percent: of all, or of each draw (of each row)."""
    if wrong.ndim:
        wrong, words = wrong.sum(axis=-1), words.sum(axis=-1)
    return np.asarray(100.0 * wrong / np.maximum(words, 1.0))


def _interval(value: Numbers, draws: Numbers, n_clips: int) -> Interval:
    if n_clips < MIN_CLIPS:
        return Interval(float(value), None, None)
    low, high = np.percentile(draws, _TAILS)
    return Interval(float(value), float(low), float(high))
