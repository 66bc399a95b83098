"""Exact self-speculative decoding: greedy search's result in fewer calls of the decoder.

The CTC head's text is a draft of what the decoder will say (Saon et al., 2026, arXiv 2603.11243).
The decoder is fed its last token together with the next tokens of the draft, and answers what it
would have said after each. As long as that is what the draft says, greedy search has gone on by as
many tokens in one call; what the cache holds beyond is cut off. Unlike the paper's scheme, which
takes or leaves a draft as a whole, a difference costs one call: the draft is aligned anew with
what was found, and the guessing goes on.

A draft changes which calls are made, never what is found, because the decoder gives the same for
tokens fed together and one by one: quantized graphs to the bit (docs/granite.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge_asr.recognizers.decoding import GreedySearch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.recognizers.decoding import Choice, Decoded

FIRST_WINDOW = 9
LONGEST_WINDOW = 15
"""Tokens guessed at once. With the one found last they are 10 and 16 rows: kernels take rows in
pairs (int4) or sixteens (int8 with AMX). Where one in ten is wrong, a window of 9 is the cheapest
in int4, by the costs of docs/models.md, and near it in int8."""
_NEAR = 4
_WORTH = 8
"""One token that agrees is believed up to 4 tokens away; each more, 8 tokens further."""
_LONGEST_AGREEMENT = 8


@dataclass(frozen=True, slots=True)
class Verified:
    """What a decoder says of tokens that it was fed together."""

    choices: Sequence[Choice]
    """The likeliest token after each."""
    fed_logprobs: Sequence[float]
    """How likely each but the first was after those before it: natural log-probabilities."""


class RewindingDecoder(Protocol):
    """A decoder that can take back what it was fed."""

    def verify(self, token_ids: Sequence[int]) -> Verified:
        """Feed tokens; say what follows each."""

    def rewind(self, n_tokens: int) -> None:
        """Forget the last ``n_tokens`` that were fed."""


class Draft:
    """What the decoder will probably say, and how far it has come."""

    def __init__(self, token_ids: Sequence[int]) -> None:
        self._tokens = list(token_ids)
        self._next = 0
        self._window = FIRST_WINDOW

    def guess(self) -> list[int]:
        """Return the tokens that probably come next; none where the draft is no help."""
        return self._tokens[self._next : self._next + self._window]

    def follow(self, found: Sequence[int], n_guessed: int, n_right: int) -> None:
        """Go on.

        Args:
            found: all tokens found so far, of which the last was not guessed.
            n_guessed: tokens that were guessed for the last call.
            n_right: how many of them were right.
        """
        if n_right < n_guessed:
            self._window = FIRST_WINDOW if n_right else self._window // 2
        elif n_guessed:
            self._window = min(LONGEST_WINDOW, 2 * self._window + 1)
        self._next += n_right
        if self._tokens[self._next : self._next + 1] == [found[-1]]:
            self._next += 1
        else:
            self._next = self._aligned(found)
        if self._n_agreeing(found, self._next) > 1:
            self._window = max(self._window, FIRST_WINDOW)

    def _aligned(self, found: Sequence[int]) -> int:
        """Return where the draft agrees with the last tokens found; else take one as replaced."""
        expected = self._next + 1
        best = (0, 0, min(expected, len(self._tokens)))
        # Text that repeats agrees in many places: what was right until now is not left for them.
        on_track = self._n_agreeing(found[:-1], self._next) > 1
        reach = _NEAR if on_track else _LONGEST_AGREEMENT * _WORTH
        for place in range(max(1, expected - reach), min(len(self._tokens), expected + reach) + 1):
            n_agreeing = self._n_agreeing(found, place)
            distance = abs(place - expected)
            if n_agreeing and distance <= _NEAR + (n_agreeing - 1) * _WORTH:
                best = max(best, (n_agreeing, -distance, place))
        return best[2]

    def _n_agreeing(self, found: Sequence[int], place: int) -> int:
        """Return how many of the last tokens found are those of the draft before ``place``."""
        longest = min(len(found), place, _LONGEST_AGREEMENT)
        n = 0
        while n < longest and found[-1 - n] == self._tokens[place - 1 - n]:
            n += 1
        return n


def speculative(
    decoder: RewindingDecoder,
    first: Choice,
    draft: Draft,
    *,
    end_token: int,
    max_tokens: int,
    given: Sequence[Choice] = (),
) -> Decoded:
    """Decode greedily until the end token, with the help of a draft.

    Args:
        decoder: has been fed the prompt.
        first: what it answered.
        draft: what it will probably say. Any draft gives the same result, an empty one too; a good
            one gives it sooner.
        end_token: ends the text.
        max_tokens: give up after so many.
        given: tokens that the decoder was fed after the prompt, and that begin the text whether it
            would have chosen them or not.
    """
    search = GreedySearch(end_token=end_token, max_tokens=max_tokens)
    token: int | None = None
    for choice in (*given, first):
        token = search.take(choice)
        if token is None:
            break
    n_guessed = n_right = 0
    while token is not None:
        draft.follow(search.token_ids, n_guessed, n_right)
        guesses = draft.guess()[: max_tokens - len(search.token_ids)]
        n_guessed, n_right = len(guesses), 0
        choices = decoder.verify([token, *guesses]).choices
        token = search.take(choices[0])
        while n_right < n_guessed and token == guesses[n_right]:
            n_right += 1
            token = search.take(choices[n_right])
        if token is not None:
            decoder.rewind(n_guessed - n_right)
    return search.decoded()
