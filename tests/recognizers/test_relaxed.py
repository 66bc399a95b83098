"""Fast drafts: how much of a draft is taken, and what follows it."""

import math

import pytest

from edge_asr.recognizers.decoding import Choice
from edge_asr.recognizers.relaxed import relaxed
from edge_asr.recognizers.speculative import Verified

END = 0
LAST = 99


class Scripted:
    """Would say a script; finds tokens of it likely, some others possible, the rest impossible."""

    def __init__(self, script, possible=()):
        self.script = [*script, END]
        self.possible = possible
        self.fed = []
        self.n_calls = 0

    def verify(self, token_ids):
        self.n_calls += 1
        choices, logprobs = [], []
        for place, token in enumerate(token_ids):
            self.fed.append(token)
            following = self.script[min(len(self.fed) - 1, len(self.script) - 1)]
            choices.append(Choice(following, math.log(0.6)))
            if place + 1 < len(token_ids):
                asked = token_ids[place + 1]
                share = 0.6 if asked == following else 0.3 if asked in self.possible else 0.01
                logprobs.append(math.log(share))
        return Verified(choices, logprobs)

    def rewind(self, n_tokens):
        del self.fed[len(self.fed) - n_tokens :]


def found(decoder, draft, threshold=0.2):
    return relaxed(decoder, LAST, draft, end_token=END, max_tokens=40, threshold=threshold)


def test_a_likely_draft_is_taken_whole_though_the_decoder_would_say_otherwise():
    decoder = Scripted([1, 2, 3], possible={7})
    decoded, whole = found(decoder, [1, 7, 3])
    assert (decoded.token_ids, whole, decoder.n_calls) == ((1, 7, 3), True, 1)
    expected = (3 * math.log(0.6) + math.log(0.3)) / 4
    assert decoded.avg_logprob == pytest.approx(expected)


@pytest.mark.parametrize("draft", [[1, 8, 3, 4, 5], [1, 2, 3, 8, 5], [8, 2, 3, 4, 5]])
def test_the_likely_beginning_is_kept_and_the_rest_decoded(draft):
    decoded, whole = found(Scripted([1, 2, 3, 4, 5]), draft)
    assert (decoded.token_ids, whole) == ((1, 2, 3, 4, 5), False)


def test_a_likely_beginning_stays_where_the_decoder_would_have_begun_otherwise():
    decoded, _ = found(Scripted([1, 2, 3, 4, 5], possible={7}), [7, 2, 8])
    assert decoded.token_ids == (7, 2, 3, 4, 5)


@pytest.mark.parametrize("draft", [[], [1, 2]])
def test_a_draft_that_breaks_off_is_not_taken_whole(draft):
    decoded, whole = found(Scripted([1, 2, 3, 4]), draft)
    assert (decoded.token_ids, whole) == ((1, 2, 3, 4), False)


def test_a_threshold_of_nothing_takes_everything():
    decoded, whole = found(Scripted([1, 2, 3]), [9, 9], threshold=0.0)
    assert (decoded.token_ids, whole) == ((9, 9), True)
