"""How unlike two texts are: the share of letters to be changed to make one of the other.

A language model that invents writes fluent text that has nothing to do with the sound; the CTC
head, which hears letter by letter, cannot. Two readings of the same speech differ in spelling and
in numbers (0 to 0.3 of the letters); texts of different speech in the same language differ in 0.7
and more. Text is doubted from the middle on.
"""

from __future__ import annotations

import numpy as np

MAX_DISTANCE = 0.5
MIN_LETTERS = 8
"""Fewer letters differ too easily: "ja" is half of "yeah"."""


def is_unlike(text: str, other: str) -> bool:
    """Return whether two readings of the same speech can hardly both be right."""
    letters, others = _letters(text), _letters(other)
    if _has_figures(letters) != _has_figures(others):
        return False  # "25" and "twenty five" are the same, and nothing here knows
    longer = max(len(letters), len(others))
    return longer >= MIN_LETTERS and edit_distance(letters, others) > MAX_DISTANCE * longer


def _letters(text: str) -> str:
    return "".join(each for each in text.lower() if each.isalnum())


def _has_figures(text: str) -> bool:
    return any(each.isdigit() for each in text)


def edit_distance(text: str, other: str) -> int:
    """Return how many characters must be added, removed or replaced (Levenshtein, 1966)."""
    characters = np.array([ord(each) for each in other], dtype=np.int64)
    places = np.arange(len(other) + 1)
    row = places.copy()
    for number, character in enumerate(text, start=1):
        changed = np.minimum(row[:-1] + (characters != ord(character)), row[1:] + 1)
        # Adding a character costs one for each place: a running minimum once that is taken off.
        row = np.minimum.accumulate(np.append(number, changed) - places) + places
    return int(row[-1])
