"""Greedy search, and the guards that keep it from running away.

An encoder-decoder model can fall into a loop and repeat a phrase until its context is full. The
guards are the usual ones: an immediate repeat, and Whisper's compression ratio (Radford et al.,
2022, section 4.5).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

Array = np.ndarray[tuple[int], np.dtype[np.float32]]
Logits = Array
"""float32, shape ``(vocab_size,)``."""

MAX_COMPRESSION_RATIO = 2.4
"""Whisper's threshold: text that zlib shrinks further than this repeats itself."""
_LOOP_REPEATS = 4
_LOOP_MIN_TOKENS = 12
_LOOP_MAX_PERIOD = 24
"""A loop: the last tokens are one phrase of at most 24 tokens, at least 4 times and 12 tokens."""


class Choice(NamedTuple):
    """The likeliest next token."""

    token_id: int
    logprob: float
    """Natural."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What greedy search found."""

    token_ids: tuple[int, ...]
    """Without the prompt and the end token."""
    avg_logprob: float
    """Mean natural log-probability of the tokens, the end token included."""
    logprobs: tuple[float, ...]
    """Natural, of each of ``token_ids``."""
    flags: tuple[str, ...]
    """``token_limit`` when the end token did not come in time, ``repetition`` for a loop."""


class GreedySearch:
    """Takes the likeliest token at every step, and knows when to stop.

    What it finds depends on what was likeliest alone, not on how a caller came to know it.
    """

    def __init__(self, *, end_token: int, max_tokens: int) -> None:
        self._end_token = end_token
        self._max_tokens = max_tokens
        self._logprobs: list[float] = []
        self._flags: tuple[str, ...] = ()
        self.token_ids: list[int] = []
        """What was found so far."""

    def take(self, choice: Choice) -> int | None:
        """Take the likeliest token after those found so far.

        Returns:
            The token, or None when the search is over.
        """
        token = choice.token_id
        self._logprobs.append(choice.logprob)
        if token == self._end_token:
            return None
        self.token_ids.append(token)
        if period := loop_period(self.token_ids):
            # One round of the phrase is kept: it was probably said once.
            self._flags = ("repetition",)
            self.token_ids = _without_loop(self.token_ids, period)
            return None
        if len(self.token_ids) >= self._max_tokens:
            self._flags = ("token_limit",)
            return None
        return token

    def decoded(self) -> Decoded:
        """Return what was found, once the search is over."""
        return Decoded(
            tuple(self.token_ids),
            float(np.mean(self._logprobs)),
            tuple(self._logprobs[: len(self.token_ids)]),
            self._flags,
        )


def likeliest(logits: Logits) -> Choice:
    """Return the likeliest of all tokens."""
    token = int(logits.argmax())
    return Choice(token, float(logits[token]) - _log_sum_exp(logits))


def loop_period(token_ids: Sequence[int]) -> int:
    """Return the length of the phrase that the tokens end by repeating, or 0."""
    for period in range(1, _LOOP_MAX_PERIOD + 1):
        n_looped = max(_LOOP_REPEATS * period, _LOOP_MIN_TOKENS)
        if n_looped > len(token_ids):
            continue
        tail = token_ids[-n_looped:]
        if tail[period:] == tail[:-period]:
            return period
    return 0


def _without_loop(token_ids: list[int], period: int) -> list[int]:
    """Return the tokens up to the end of the first round of the loop they end in."""
    end = len(token_ids)
    while end > period and token_ids[end - 1] == token_ids[end - 1 - period]:
        end -= 1
    return token_ids[:end]


def compression_ratio(text: str) -> float:
    """Return how far zlib shrinks ``text``; repetitive text shrinks most."""
    raw = text.encode("utf-8")
    return len(raw) / len(zlib.compress(raw)) if raw else 0.0


def _log_sum_exp(logits: Logits) -> float:
    peak = logits.max()
    return float(peak + np.log(np.exp(logits - peak).sum()))
