"""Beam search finds what greedy search misses, and nothing less likely than that."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.recognizers.beam import beam_search
from edge_asr.recognizers.decoding import GreedySearch, likeliest

END, VOCAB, LONGEST = 0, 4, 4


class Table:
    """Logits that depend on all tokens so far; a decoder with any number of texts."""

    def __init__(self, seed, n_texts=1):
        self.seed = seed
        self.texts = [()] * n_texts

    def logits(self, text):
        random = np.random.default_rng([self.seed, len(text), *text])
        logits = random.normal(scale=2.0, size=VOCAB).astype(np.float32)
        if not text:
            logits[END] = -np.inf  # Whisper's texts do not begin with their end
        return logits

    def step(self, parents, token_ids):
        self.texts = [
            (*self.texts[parent], token) for parent, token in zip(parents, token_ids, strict=True)
        ]
        return np.stack([self.logits(text) for text in self.texts])

    def logprob(self, text, token):
        logits = self.logits(text).astype(np.float64)
        return logits[token] - math.log(np.exp(logits).sum())

    def mean_logprob(self, text):
        """Of a text with its end."""
        found = [self.logprob(text[:n], token) for n, token in enumerate(text)]
        return sum(found) / len(found)


def search(seed, n_texts):
    table = Table(seed, n_texts)
    return beam_search(table, table.logits(()), n_texts=n_texts, end_token=END, max_tokens=LONGEST)


def greedy(seed):
    table, found = Table(seed), GreedySearch(end_token=END, max_tokens=LONGEST)
    token = found.take(likeliest(table.logits(())))
    while token is not None:
        token = found.take(likeliest(table.step([0], [token])[0]))
    return found.decoded()


@given(seed=st.integers(0, 10**6), n_texts=st.integers(2, 6))
def test_probabilities_are_the_models_own(seed, n_texts):
    table, found = Table(seed), search(seed, n_texts)
    whole = found.token_ids if found.flags else (*found.token_ids, END)
    assert found.avg_logprob == pytest.approx(table.mean_logprob(whole), abs=1e-4)
    assert len(found.logprobs) == len(found.token_ids)


@given(seed=st.integers(0, 10**6))
def test_wide_enough_it_finds_the_best_of_all_texts_that_end(seed):
    table, found = Table(seed), search(seed, 200)
    every = [
        (*text, END)
        for n in range(1, LONGEST)
        for text in itertools.product(range(1, VOCAB), repeat=n)
    ]
    best = max(table.mean_logprob(text) for text in every)
    assert not found.flags
    assert found.avg_logprob == pytest.approx(best, abs=1e-4)


def test_it_finds_likelier_texts_than_greedy_search_more_often_than_not():
    plain = [(seed, found) for seed in range(400) if not (found := greedy(seed)).flags]
    gains = [search(seed, 5).avg_logprob - found.avg_logprob for seed, found in plain]
    better, worse = sum(gain > 1e-6 for gain in gains), sum(gain < -1e-6 for gain in gains)
    assert better > 20
    assert better > 3 * worse


def test_a_text_without_an_end_is_flagged():
    class Endless(Table):
        def logits(self, text):
            logits = super().logits(text)
            logits[END] = -np.inf
            return logits

    table = Endless(1, 3)
    found = beam_search(table, table.logits(()), n_texts=3, end_token=END, max_tokens=LONGEST)
    assert found.flags == ("token_limit",)
    assert len(found.token_ids) == LONGEST
