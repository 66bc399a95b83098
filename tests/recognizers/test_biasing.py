"""Keywords in decoding: who gets a bonus, when, and what it does to probabilities."""

from dataclasses import dataclass

import numpy as np
import pytest

from edge_asr.recognizers.biasing import KeywordBias, Spelling, likeliest_biased, spellings
from edge_asr.recognizers.decoding import GreedySearch, likeliest

END, A, B, C, D, E = range(6)
N_VOCAB = 6


def bias(*sequences, strength=2.0):
    """Return a bias of keywords whose tokens are a letter each."""
    spelled = [
        Spelling(tuple(ids), tuple((n + 1) / len(ids) for n in range(len(ids))))
        for ids in sequences
    ]
    return KeywordBias(spelled, end_token=END, strength=strength)


def bonuses(found, token_ids, likeliest_token=E):
    logits = np.zeros(N_VOCAB, np.float32)
    logits[likeliest_token] = 0.5
    before = logits.copy()
    found(logits, token_ids)
    return {token: float(more) for token, more in enumerate(logits - before) if more}


def test_what_goes_on_gets_the_whole_bonus_and_what_begins_its_share():
    found = bias([A, B, C, D])

    assert bonuses(found, []) == {A: 0.5}
    assert bonuses(found, [E, A]) == {A: 0.5, B: 2.0}
    assert bonuses(found, [A, B]) == {A: 0.5, C: 2.0}


def test_what_broke_off_is_forgotten():
    assert bonuses(bias([A, B, C, D]), [A, E]) == {A: 0.5}


def test_where_the_model_would_end_no_keyword_begins():
    found = bias([A, B])

    assert bonuses(found, [], likeliest_token=END) == {}
    assert bonuses(found, [A], likeliest_token=END) == {B: 2.0}


def test_after_a_keyword_none_begins_at_once():
    found = bias([A, B])

    assert bonuses(found, [A, B]) == {}
    assert bonuses(found, [A, B, E]) == {A: 1.0}


def test_a_keyword_within_another_goes_on_either_way():
    """After "a b" both "b c" and "a b d" may follow; the longer one is not given up."""
    found = bias([A, B, D], [B, C])

    assert bonuses(found, [A, B]) == pytest.approx({A: 2 / 3, B: 1.0, C: 2.0, D: 2.0})


def test_a_prefix_that_is_a_keyword_itself_may_still_go_on():
    assert bonuses(bias([A], [A, B]), [A]) == {B: 2.0}


def test_several_keywords_that_begin_alike_share_the_surest_beginning():
    assert bonuses(bias([A, B], [A, C, D, E]), []) == {A: 1.0}


def test_a_forbidden_token_stays_forbidden():
    logits = np.array([0.0, -np.inf, 0.0, 0.0, 0.0, 1.0], np.float32)

    bias([A, B])(logits, [])

    assert logits[A] == -np.inf


def test_no_keywords_are_no_bias():
    assert not bias()
    assert bias([A])


def test_the_probability_is_the_models_own():
    logits = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 1.5], np.float32)
    total = np.log(np.exp(logits).sum())

    found = likeliest_biased(logits.copy(), [], bias([A, B]))

    assert found.token_id == A
    assert found.logprob == pytest.approx(1.0 - total)


def test_without_keywords_the_choice_is_the_likeliest():
    logits = np.array([0.0, 1.0, 0.0, 0.0, 0.0, 1.5], np.float32)

    assert likeliest_biased(logits.copy(), [], None) == likeliest(logits)
    assert likeliest_biased(logits.copy(), [], bias()) == likeliest(logits)


@dataclass
class Voice:
    """A model that heard a keyword, but finds another word a little likelier."""

    gap: float

    def logits(self, token_ids):
        logits = np.full(N_VOCAB, -5.0, np.float32)
        spoken = [(E, A), (C, B), (END, END)][min(len(token_ids), 2)]
        logits[spoken[1]] = 2.0 - self.gap
        logits[spoken[0]] = 2.0
        return logits


@pytest.mark.parametrize(("gap", "text"), [(0.5, [A, B]), (2.5, [E, C])])
def test_a_keyword_wins_where_the_model_nearly_chose_it_and_only_there(gap, text):
    voice, search = Voice(gap), GreedySearch(end_token=END, max_tokens=10)
    found, token = bias([A, B]), 0

    while token is not None:
        ids = search.token_ids
        token = search.take(likeliest_biased(voice.logits(ids), ids, found))

    assert search.token_ids == text


LETTERS = {" Kanban": (1, 2), " kanban": (3, 2), " 看板": (4, 5), "看板": (6, 5)}
TEXTS = {1: " Kan", 2: "ban", 3: " kan", 4: " 看", 5: "板", 6: "看"}


def spelled(*keywords):
    return spellings(keywords, LETTERS.__getitem__, lambda ids: "".join(TEXTS[i] for i in ids))


def test_a_keyword_is_spelled_as_given_and_as_a_sentence_begins():
    assert {each.token_ids for each in spelled("kanban")} == {(3, 2), (1, 2)}
    assert [each.token_ids for each in spelled("Kanban", " Kanban ")] == [(1, 2)]
    assert spelled("Kanban")[0].shares == (0.5, 1.0)


def test_where_no_spaces_are_written_none_is_needed():
    assert {each.token_ids for each in spelled("看板")} == {(4, 5), (6, 5)}


def test_an_empty_keyword_is_none():
    assert spelled("", "  ") == []
