"""Several utterances decoded at once are what each is alone."""

import pytest

from edge_asr.recognizers.decoding import Choice, GreedySearch
from edge_asr.recognizers.together import Begun, greedy_together, transcribe_all

END = 0


class Script:
    """Utterances whose tokens are known, in the rows of a decoder that holds the caller to them."""

    def __init__(self, texts, max_tokens=20):
        self.texts = texts
        self.max_tokens = max_tokens
        self.found = {}
        self.widths = []
        self._coming = iter(range(len(texts)))
        self._there = {}
        self._n_fed = {}

    def begin(self, row):
        number = next(self._coming, None)
        if number is None:
            return None
        self._there[row], self._n_fed[row] = number, 0
        return Begun(Choice(self.texts[number][0], -0.1), self.max_tokens)

    def end(self, row, decoded):
        self.found[self._there[row]] = decoded

    def step(self, token_ids):
        self.widths.append(len(token_ids))
        choices = {}
        for row, token in token_ids.items():
            text, n_fed = self.texts[self._there[row]], self._n_fed[row]
            assert text[n_fed] == token, "a row is fed what was found in it"
            self._n_fed[row] += 1
            choices[row] = Choice(text[n_fed + 1], -0.1 * (n_fed + 2))
        return choices


def alone(text, max_tokens=20):
    search = GreedySearch(end_token=END, max_tokens=max_tokens)
    for place, token in enumerate(text):
        if search.take(Choice(token, -0.1 * (place + 1))) is None:
            break
    return search.decoded()


@pytest.mark.parametrize("n_rows", [1, 2, 3, 8])
def test_each_utterance_is_what_it_is_alone(n_rows):
    looping = [7, *[3, 4] * 12]
    texts = [[5, 6, END], [END], looping, [1, 2, 3, 4, 5, END], list(range(1, 40)), [9, END]]
    script = Script(texts)
    greedy_together(script, n_rows, script, end_token=END)
    assert script.found == {number: alone(text) for number, text in enumerate(texts)}
    assert {flag for each in script.found.values() for flag in each.flags} == {
        "token_limit",
        "repetition",
    }


def test_where_an_utterance_ends_the_next_begins_at_once():
    script = Script([[n, n + 1, n + 2, END] for n in range(1, 9)])
    greedy_together(script, 4, script, end_token=END)
    assert script.widths == [4] * 6


def test_a_family_that_gains_nothing_hears_one_after_another():
    class OneByOne:
        def transcribe(self, waveform, request):
            return waveform, request

    assert transcribe_all(OneByOne(), ["a", "b"], "asked") == [("a", "asked"), ("b", "asked")]
