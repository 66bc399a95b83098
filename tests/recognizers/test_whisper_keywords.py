"""Keywords for Whisper: what is weighed, how, and what becomes of the text."""

import numpy as np
import pytest

from edge_asr.recognizers.whisper_bundle import SpecialTokens
from edge_asr.recognizers.whisper_keywords import (
    MOST_WEIGHED,
    STRENGTH,
    UNHINTED_WEIGHT,
    Heard,
    KeywordReader,
    with_keywords,
)

END, START, HINT, UNKNOWN = range(4)
WORDS = ["the", "riddle", "is", "missing", "Rittal", "."]
ID_OF = {word: number for number, word in enumerate(WORDS, start=UNKNOWN + 1)}
PROMPT = (START,)
TOKENS = SpecialTokens(
    start_of_transcript=START,
    end_of_text=END,
    no_timestamps=UNKNOWN,
    timestamp_begin=UNKNOWN,
    no_speech=UNKNOWN,
    start_of_previous=HINT,
)


def encode(text):
    return [ID_OF.get(word, UNKNOWN) for word in text.replace(".", " .").split()]


class Listener:
    """A decoder that finds every word as likely, but those it is told of."""

    def __init__(self, logits, hinted=0.0):
        self._logits = np.zeros(len(WORDS) + UNKNOWN + 1, np.float32)
        for word, logit in logits.items():
            self._logits[ID_OF[word]] = logit
        self._hinted = hinted
        self.fed = []
        self.n_calls = 0
        self.n_room = 0

    @property
    def n_past(self):
        return len(self.fed)

    def hear(self, _sound, _logit_bias, max_tokens):
        self.fed = []
        self.n_room = max_tokens

    def rewind(self, n_tokens):
        self.fed = self.fed[: len(self.fed) - n_tokens]

    def prompt(self, token_ids):
        self.n_calls += 1
        self.fed += token_ids
        assert len(self.fed) <= self.n_room
        logits = np.tile(self._logits, (len(token_ids), 1))
        if self.fed[0] == HINT:
            logits[:, self.fed[1]] += self._hinted
        return logits


def read(listener, text, keywords):
    reader = KeywordReader(listener, encode, TOKENS, "tiny")
    return reader.read(text, keywords, Heard({}, np.zeros(1, np.float32), PROMPT))


def test_a_keyword_is_written_that_the_hint_makes_likely():
    listener = Listener({"riddle": 5.0}, hinted=4.0)

    decoded = read(listener, "the riddle is missing", ["Rittal"])

    assert decoded.token_ids == tuple(encode("the Rittal is missing"))
    assert listener.fed == [*PROMPT, *decoded.token_ids]  # for whoever asks where it looked
    assert len(decoded.logprobs) == len(decoded.token_ids)


def test_its_probabilities_are_the_models_own_without_the_hint():
    logits = {"riddle": 2.0, "Rittal": 1.0}
    listener = Listener(logits, hinted=9.0)

    decoded = read(listener, "the riddle is missing", ["Rittal"])

    n_others = len(WORDS) + UNKNOWN + 1 - len(logits)
    total = np.log(np.exp(2.0) + np.exp(1.0) + n_others)
    expected = np.array([0, 1, 0, 0]) - total
    np.testing.assert_allclose(decoded.logprobs, expected, rtol=1e-6)
    assert decoded.avg_logprob == pytest.approx((expected.sum() - total) / 5)
    assert decoded.flags == ()


@pytest.mark.parametrize("is_enough", [True, False])
def test_a_keyword_may_cost_so_much_with_the_hint_and_without_and_no_more(is_enough):
    # Without the hint it costs the loss, with it 1 less.
    loss = (STRENGTH + 1.0) / (1 + UNHINTED_WEIGHT) + (-0.3 if is_enough else 0.3)
    listener = Listener({"riddle": loss}, hinted=1.0)

    decoded = read(listener, "the riddle is missing", ["Rittal"])

    assert (decoded is not None) is is_enough


@pytest.mark.parametrize("text", ["", ".", "the missing is", "the Rittal is missing"])
def test_where_nothing_sounds_like_a_keyword_the_decoder_is_not_asked(text):
    listener = Listener({})

    assert read(listener, text, ["Rittal"]) is None
    assert listener.n_calls == 0


def test_a_second_keyword_is_found_behind_the_first():
    found = with_keywords(
        "the riddle and the madbuss", ["Rittal", "Modbus"], lambda _stretch, _text: 1.0
    )

    assert found == "the Rittal and the Modbus"


def test_what_was_weighed_is_not_weighed_again_and_no_more_than_so_many():
    asked = []

    def weigh(stretch, text):
        asked.append((text[stretch.start : stretch.end], stretch.keyword))
        return -1.0

    text = "the riddle madbuss festoo kannbann turk danfos"
    keywords = ["Rittal", "Modbus", "Festo", "Kanban", "Turck", "Danfoss"]

    assert with_keywords(text, keywords, weigh) == text
    assert len(asked) == len(set(asked)) == MOST_WEIGHED
