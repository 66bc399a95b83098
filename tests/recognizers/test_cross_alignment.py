"""Word times from cross-attention: the path, the words, and what a pause does to them."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.recognizers.cross_alignment import first_frames, word_times


def cost_cell_by_cell(likeness):
    """Return the path's cost, by dynamic time warping as it is usually written."""
    n_rows, n_frames = likeness.shape
    best = np.full((n_rows + 1, n_frames + 1), math.inf)
    best[0, 0] = 0.0
    for row in range(n_rows):
        for frame in range(n_frames):
            before = min(best[row, frame], best[row, frame + 1], best[row + 1, frame])
            best[row + 1, frame + 1] = before - likeness[row, frame]
    return best[n_rows, n_frames]


def gathered(likeness, starts):
    """Return the most that a path with these beginnings of rows gathers."""
    total = 0.0
    bounds = [*starts.astype(int).tolist(), likeness.shape[1]]
    for row, (first, end) in enumerate(pairwise(bounds)):
        # A row goes on to the frame before the next row's first, or shares that one with it.
        shared = likeness[row, first : end + 1].sum()
        total += max(shared, likeness[row, first:end].sum()) if end > first else shared
    return total


@given(n_rows=st.integers(1, 6), n_frames=st.integers(1, 12), seed=st.integers(0, 10**6))
def test_the_path_gathers_as_much_as_any(n_rows, n_frames, seed):
    likeness = np.random.default_rng(seed).normal(size=(n_rows, n_frames)).astype(np.float32)
    starts = first_frames(likeness)
    assert starts[0] == 0
    assert (np.diff(starts) >= 0).all()
    assert gathered(likeness, starts) == pytest.approx(-cost_cell_by_cell(likeness), abs=1e-3)


def looking(frames, n_frames):
    """Return scores of a head that looked at these frames, token by token."""
    scores = np.zeros((1, len(frames), n_frames), np.float32)
    for token, (first, end) in enumerate(frames):
        scores[0, token, first:end] = 8.0
    return scores


def test_words_begin_where_the_decoder_looked_for_their_first_token():
    frames = [(10, 20), (20, 30), (30, 45), (45, 50)]
    one, two = word_times(
        looking([*frames, (50, 60)], 60),
        [" Pum", "pe", " läuft", "."],
        [-0.1, -0.3, 0.0, 0.0],
        "de",
    )
    assert (one.text, two.text) == ("Pumpe", "läuft.")
    assert one.start_s == pytest.approx(0.2, abs=0.2)
    assert one.end_s == two.start_s == pytest.approx(0.6, abs=0.041)
    assert two.end_s == pytest.approx(1.0, abs=0.041)
    assert one.probability == pytest.approx(math.exp(-0.2), abs=1e-4)
    assert two.probability == 1.0


def test_a_word_does_not_last_through_the_pause_behind_its_sentence():
    frames = [(0, 20), (20, 40), (40, 60), (220, 240), (240, 260)]
    words = word_times(
        looking([*frames, (260, 280)], 280), [" It", " is", " so.", " Go", " on"], [0.0] * 5, "en"
    )
    assert [word.text for word in words] == ["It", "is", "so.", "Go", "on"]
    assert words[2].end_s < words[3].start_s - 1.0
    assert words[3].start_s == pytest.approx(4.4, abs=0.1)


def test_where_nobody_writes_spaces_each_token_is_a_word():
    frames = [(0, 20), (20, 40), (40, 50)]
    words = word_times(looking([*frames, (50, 60)], 60), ["ポンプ", "は", "。"], [0.0] * 3, "ja")
    assert [word.text for word in words] == ["ポンプ", "は。"]


def test_without_tokens_or_sound_there_are_no_words():
    assert word_times(np.zeros((1, 1, 50), np.float32), [], [], "en") == ()
    assert word_times(np.zeros((1, 2, 0), np.float32), [" a"], [0.0], "en") == ()
