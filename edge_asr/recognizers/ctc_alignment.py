"""When each word of a text was said: forced alignment with the CTC head, to 20 ms.

The best path through blank, first character, blank, second character, ... is found by Viterbi's
algorithm (Kürzinger et al., 2020, describe its use for this). CTC marks a character by a short
peak, so a word's end may come some frames early.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.recognizers.ctc import log_softmax
from edge_asr.records import Word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.recognizers.ctc import CtcLabels, CtcLogits

_LEAST_SHARE = 0.8
"""Of a text's letters that must have labels. Below (Japanese in kanji), no word is given a time."""
_SPACE = " "


def word_times(
    logits: CtcLogits, text: str, labels: CtcLabels, *, frame_s: float
) -> tuple[Word, ...]:
    """Align a text with a clip.

    Args:
        logits: of the clip, shape ``(n_frames, n_labels)``.
        text: what was said; its words are what white space separates.
        labels: the head's alphabet.
        frame_s: length of a frame in seconds.

    Returns:
        The words that have letters in the alphabet, with their times within the clip; nothing if
        most letters have none, or if the clip is too short for the text.
    """
    words = text.split()
    spelt = [_spelt(word, labels, logits.shape[1]) for word in words]
    n_letters = sum(character.isalnum() for word in words for character in word)
    if sum(map(len, spelt)) < max(1, _LEAST_SHARE * n_letters):
        return ()
    timed = [(word, found) for word, found in zip(words, spelt, strict=True) if found]
    space = labels.label(_SPACE, logits.shape[1])
    between = [] if space is None else [space]
    sequence = list(_joined([found for _, found in timed], between))
    frames = align(log_softmax(logits), sequence, labels.blank)
    if frames is None:
        return ()
    found_words, at = [], 0
    for word, found in timed:
        first, last = frames[at][0], frames[at + len(found) - 1][1]
        found_words.append(Word(word, round(first * frame_s, 3), round((last + 1) * frame_s, 3)))
        at += len(found) + len(between)
    return tuple(found_words)


def _spelt(word: str, labels: CtcLabels, n_labels: int) -> list[int]:
    """Return the labels of a word's letters and digits, in lower case."""
    found = [labels.label(each, n_labels) for each in word.lower() if each.isalnum()]
    return [label for label in found if label is not None]


def _joined(words: list[list[int]], between: list[int]) -> Iterator[int]:
    for index, word in enumerate(words):
        if index:
            yield from between
        yield from word


def align(log_probs: CtcLogits, sequence: list[int], blank: int) -> list[tuple[int, int]] | None:
    """Return the first and the last frame of each label of ``sequence`` on the best path.

    Args:
        log_probs: shape ``(n_frames, n_labels)``.
        sequence: labels, none of them blank.
        blank: the blank's label.

    Returns:
        None if there is no path: more labels (and blanks between equal ones) than frames.
    """
    states = np.full(2 * len(sequence) + 1, blank)
    states[1::2] = sequence
    # From one label straight to the next, but not to an equal one: that would be a repeat.
    skips = np.zeros(len(states), dtype=bool)
    skips[3::2] = states[3::2] != states[1:-2:2]
    steps = np.zeros((len(log_probs), len(states)), dtype=np.int8)
    scores = np.full(len(states), -np.inf)
    scores[0] = 0.0  # a state before the first frame, from which the first two can be reached
    for frame, row in enumerate(log_probs):
        candidates = np.full((3, len(states)), -np.inf)
        candidates[0] = scores
        candidates[1, 1:] = scores[:-1]
        candidates[2, 2:] = np.where(skips[2:], scores[:-2], -np.inf)
        steps[frame] = candidates.argmax(axis=0)
        scores = candidates.max(axis=0) + row[states]
    last = len(states) - 2 + int(scores[-1] >= scores[-2])
    if not np.isfinite(scores[last]):
        return None
    return _traced(steps, last)


def _traced(steps: np.ndarray, state: int) -> list[tuple[int, int]]:
    """Follow the steps back from the last frame's state."""
    n_labels = steps.shape[1] // 2
    first, last = [0] * n_labels, [-1] * n_labels
    for frame in range(len(steps) - 1, -1, -1):
        if state % 2:
            first[state // 2] = frame
            last[state // 2] = max(last[state // 2], frame)
        state -= int(steps[frame, state])
    return list(zip(first, last, strict=True))
