"""Greedy search and its guards, over decoders that are scripted token by token."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.recognizers.decoding import (
    Choice,
    GreedySearch,
    compression_ratio,
    likeliest,
    loop_period,
)

END = 0
VOCAB = 32


def logits_of(token):
    logits = np.zeros(VOCAB, np.float32)
    logits[token] = 10.0
    return logits


def decode(script, *, max_tokens=100):
    """Search over a model that wants to say ``script``, and then to end."""
    search = GreedySearch(end_token=END, max_tokens=max_tokens)
    for token in [*script, END]:
        if search.take(likeliest(logits_of(token))) is None:
            break
    return search.decoded()


def test_tokens_up_to_the_end_token_are_returned():
    decoded = decode([5, 6, 7])
    assert decoded.token_ids == (5, 6, 7)
    assert decoded.flags == ()


def test_the_log_probability_is_the_mean_over_all_tokens_and_the_end():
    expected = 10.0 - np.log(np.exp(10.0) + VOCAB - 1)
    assert decode([5, 6, 7]).avg_logprob == pytest.approx(expected, abs=1e-4)


def test_text_that_does_not_end_is_cut_and_flagged():
    decoded = decode(range(1, 30), max_tokens=7)
    assert decoded.token_ids == (1, 2, 3, 4, 5, 6, 7)
    assert decoded.flags == ("token_limit",)


def test_a_loop_is_cut_to_one_round_and_flagged():
    decoded = decode([9, 8] + [3, 4, 5] * 20)
    assert decoded.token_ids == (9, 8, 3, 4, 5)
    assert decoded.flags == ("repetition",)


def test_the_likeliest_token_comes_with_its_log_probability():
    choice = likeliest(logits_of(7))
    assert choice == Choice(7, pytest.approx(10.0 - np.log(np.exp(10.0) + VOCAB - 1), abs=1e-5))


@pytest.mark.parametrize("words", [[1] * 11, [1, 2] * 5, [4, 4, 4, 5, 4, 4, 4]])
def test_what_people_really_repeat_is_no_loop(words):
    assert loop_period(words) == 0


@given(
    head=st.lists(st.integers(0, 9), max_size=10),
    phrase=st.lists(st.integers(0, 9), min_size=1, max_size=24),
)
def test_any_phrase_said_often_enough_is_a_loop(head, phrase):
    n_rounds = max(4, -(-12 // len(phrase)))
    assert 0 < loop_period(head + phrase * n_rounds) <= len(phrase)


@given(st.lists(st.integers(0, 10**6), unique=True, max_size=200))
def test_tokens_that_never_repeat_are_no_loop(token_ids):
    assert loop_period(token_ids) == 0


def test_repetitive_text_compresses_more_than_speech_does():
    assert compression_ratio("and so on " * 40) > 2.4
    assert compression_ratio("The conveyor belt stopped at ten past four in the morning.") < 2.4
    assert compression_ratio("") == 0.0
