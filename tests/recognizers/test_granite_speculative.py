"""Drafts change how often the decoder is asked, never what it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.recognizers.decoding import GreedySearch, likeliest
from edge_asr.recognizers.speculative import LONGEST_WINDOW, Draft, Verified, speculative

END = 0
VOCAB = 64


class HashingDecoder:
    """Says what depends on everything it was fed, as a real decoder does.

    With a script it says that, as long as it was fed nothing else.
    """

    def __init__(self, script=None, seed=0):
        self.script = script
        self.seed = seed
        self.fed = []
        self.n_calls = 0
        self.n_fed = 0

    def logits(self):
        if self.script is not None and self.fed == self.script[: len(self.fed)]:
            wanted = self.script[len(self.fed)] if len(self.fed) < len(self.script) else END
        else:
            wanted = hash((self.seed, *self.fed)) % 9  # few tokens, so that drafts agree by chance
        logits = np.zeros(VOCAB, np.float32)
        logits[wanted] = 5.0 + len(self.fed) % 7
        return logits

    def feed(self, token_ids):
        self.fed += token_ids
        return self.logits()

    def verify(self, token_ids):
        self.n_calls += 1
        self.n_fed += len(token_ids)
        choices = [likeliest(self.feed([token])) for token in token_ids]
        return Verified(choices, [])

    def rewind(self, n_tokens):
        assert 0 <= n_tokens <= len(self.fed)
        self.fed = self.fed[: len(self.fed) - n_tokens]


def greedy(decoder, **limits):
    """Decode token by token."""
    search = GreedySearch(**limits)
    logits = decoder.logits()
    while (token := search.take(likeliest(logits))) is not None:
        logits = decoder.feed([token])
    return search.decoded()


def both(decoder_of, draft, max_tokens=100):
    """Decode with and without a draft; return both results and the drafting decoder."""
    plain, drafting = decoder_of(), decoder_of()
    limits = {"end_token": END, "max_tokens": max_tokens}
    expected = greedy(plain, **limits)
    found = speculative(drafting, likeliest(drafting.logits()), Draft(draft), **limits)
    return expected, found, drafting


tokens = st.lists(st.integers(0, 9), max_size=60)


@given(seed=st.integers(0, 10**6), draft=tokens, max_tokens=st.integers(1, 60))
def test_any_draft_gives_what_greedy_search_gives(seed, draft, max_tokens):
    expected, found, _ = both(lambda: HashingDecoder(seed=seed), draft, max_tokens)
    assert found == expected


@given(script=st.lists(st.integers(1, 40), max_size=80), data=st.data())
def test_any_corruption_of_the_right_draft_gives_the_same(script, data):
    draft = list(script)
    for _ in range(data.draw(st.integers(0, 6))):
        place = data.draw(st.integers(0, len(draft)))
        n_lost = data.draw(st.integers(0, 3))
        draft[place : place + n_lost] = data.draw(st.lists(st.integers(0, 40), max_size=3))
    expected, found, decoder = both(lambda: HashingDecoder(script), draft)
    assert found == expected
    assert decoder.n_calls <= max(1, len(expected.token_ids) + 20)


SCRIPT = [1 + (7 * place + place * place) % 61 for place in range(96)]


def calls(draft):
    expected, found, decoder = both(lambda: HashingDecoder(SCRIPT), draft)
    assert found == expected
    assert found.token_ids == tuple(SCRIPT)
    return decoder.n_calls


def test_without_a_draft_the_decoder_is_asked_for_every_token():
    assert calls([]) == len(SCRIPT)


def test_with_the_right_draft_it_is_asked_for_windows():
    assert calls(SCRIPT) <= 2 + len(SCRIPT) / LONGEST_WINDOW


@pytest.mark.parametrize(
    ("change", "most"),
    [
        ("one token replaced", 10),
        ("two tokens left out", 11),
        ("three tokens too many", 11),
        ("one in ten replaced", 24),
        ("first token different", 8),
        ("cut in half", 54),
    ],
)
def test_a_difference_costs_a_call_or_two_and_the_guessing_goes_on(change, most):
    draft = {
        "one token replaced": [*SCRIPT[:40], 63, *SCRIPT[41:]],
        "two tokens left out": [*SCRIPT[:40], *SCRIPT[42:]],
        "three tokens too many": [*SCRIPT[:40], 63, 62, 63, *SCRIPT[40:]],
        "one in ten replaced": [63 if i % 10 == 5 else t for i, t in enumerate(SCRIPT)],
        "first token different": [63, *SCRIPT[1:]],
        "cut in half": SCRIPT[:48],
    }[change]
    assert calls(draft) <= most


def test_a_draft_that_is_no_help_is_soon_left_alone():
    _, _, decoder = both(lambda: HashingDecoder(SCRIPT), [63] * 96)
    assert decoder.n_calls == len(SCRIPT)
    assert decoder.n_fed <= len(SCRIPT) + 2 * LONGEST_WINDOW


def test_never_more_is_fed_than_the_budget_allows():
    _, found, decoder = both(lambda: HashingDecoder(SCRIPT), SCRIPT, max_tokens=11)
    assert len(found.token_ids) == 11
    assert found.flags == ("token_limit",)
    assert decoder.n_fed <= 11


def test_a_loop_ends_the_search_in_the_middle_of_a_window():
    script = [9, 8, *[3, 4, 5] * 20]
    expected, found, _ = both(lambda: HashingDecoder(script), script)
    assert found == expected
    assert found.token_ids == (9, 8, 3, 4, 5)
    assert found.flags == ("repetition",)
