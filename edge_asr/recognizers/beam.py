"""Beam search: several texts followed at once, for where the likeliest token misleads.

Greedy search takes the likeliest token at every step and cannot take it back. In clear speech a
wider search finds the same; where the model doubts, it finds better (docs/whisper.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from edge_asr.recognizers.decoding import Decoded, loop_period

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_asr.recognizers.decoding import Logits

BatchLogits = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""float32, shape ``(n_texts, vocab_size)``."""


class Branches(Protocol):
    """A decoder with several texts of one utterance."""

    def step(self, parents: Sequence[int], token_ids: Sequence[int]) -> BatchLogits:
        """Go on.

        Args:
            parents: for each text, which of the texts until now it goes on with.
            token_ids: the next token of each.

        Returns:
            What may follow each; what may not come is minus infinity.
        """


@dataclass(frozen=True, slots=True)
class _Text:
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    parent: int = 0

    @property
    def total(self) -> float:
        return sum(self.logprobs)

    def then(self, token_id: int, logprob: float, parent: int) -> _Text:
        return _Text((*self.token_ids, token_id), (*self.logprobs, logprob), parent)


def beam_search(
    branches: Branches, first: Logits, *, n_texts: int, end_token: int, max_tokens: int
) -> Decoded:
    """Return the text with the highest mean log-probability among those that are followed.

    Args:
        branches: has been fed the prompt, ``n_texts`` times.
        first: logits of what follows the prompt; what may not come is minus infinity.
        n_texts: how many are followed, at least 2.
        end_token: ends a text.
        max_tokens: give up after so many.
    """
    ended: list[_Text] = []
    going = [_Text()]
    logits = first[np.newaxis]
    while True:
        going = _next(going, logits, ended, n_texts, end_token)
        if len(ended) >= n_texts or not going or len(going[0].token_ids) >= max_tokens:
            break
        # The decoder's batch keeps its size: where there are fewer texts, the last stands in.
        texts = [*going, *[going[-1]] * (n_texts - len(going))]
        parents, tokens = [text.parent for text in texts], [text.token_ids[-1] for text in texts]
        logits = branches.step(parents, tokens)[: len(going)]
    best = max(ended or going, key=lambda text: text.total / len(text.logprobs))
    token_ids = best.token_ids[:-1] if ended else best.token_ids
    flags = () if ended else ("token_limit",)
    if loop_period(token_ids):
        flags = ("repetition",)
    logprobs = best.logprobs[: len(token_ids)]
    return Decoded(token_ids, best.total / len(best.logprobs), logprobs, flags)


def _next(
    going: Sequence[_Text],
    logits: BatchLogits,
    ended: list[_Text],
    n_texts: int,
    end_token: int,
) -> list[_Text]:
    """Return the texts to go on with, likeliest first; those that end are added to ``ended``."""
    found: list[_Text] = []
    for text in _likeliest(going, logits, 2 * n_texts):
        if text.token_ids[-1] == end_token:
            ended.append(text)
        else:
            found.append(text)
        if len(found) == n_texts:
            break
    return found


def _likeliest(going: Sequence[_Text], logits: BatchLogits, n: int) -> Iterator[_Text]:
    """Yield the ``n`` likeliest texts that are one token longer."""
    peak = logits.max(axis=1, keepdims=True)
    logprobs = logits - peak - np.log(np.exp(logits - peak).sum(axis=1, keepdims=True))
    totals = logprobs + np.array([[text.total] for text in going], dtype=np.float32)
    flat = totals.ravel()
    likely = np.argpartition(flat, -min(n, len(flat)))[-n:]
    for place in likely[np.argsort(flat[likely])[::-1]]:
        if flat[place] == -np.inf:
            return
        parent, token = divmod(int(place), totals.shape[1])
        yield going[parent].then(token, float(logprobs[parent, token]), parent)
