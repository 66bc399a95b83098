"""Text models: a prompt in, a completion out. The family ``text``: any decoder-only model.

The manifest carries the pieces of the model's chat template, found at export, so that nothing has
to run a template here. The graph is Optimum's: token ids and caches -> logits and grown caches.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edge_asr.errors import BundleError, RequestError
from edge_asr.recognizers.decoding import (
    MAX_COMPRESSION_RATIO,
    Choice,
    GreedySearch,
    compression_ratio,
    likeliest,
)
from edge_asr.recognizers.tokenizer import Tokenizer
from edge_asr.sessions import open_session, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.bundle import Bundle
    from edge_asr.recognizers.decoding import Decoded, Logits
    from edge_asr.sessions import Session, Tensor

FAMILY = "text"
DECODER = "model.onnx"
TOKENIZER = "tokenizer.json"
_PAST = "past_key_values."


class Chat(msgspec.Struct, frozen=True):
    """What stands around the words of the system and of the user. None: not with this model."""

    with_system: tuple[str, str, str] | None
    """Before the system's words, between them and the user's, after those."""
    without_system: tuple[str, str] | None
    """Before the user's words, and after them."""


class TextModelFacts(msgspec.Struct, frozen=True):
    """The ``model`` section of a text bundle's manifest."""

    n_kv_heads: int
    head_dim: int
    max_positions: int
    end_token_ids: list[int]
    special_tokens: list[str]
    """Strings that the tokenizer takes for more than their letters."""
    chat: Chat


@dataclass(frozen=True, slots=True)
class Completion:
    """What a text model answered."""

    text: str
    decode_s: float
    """Wall-clock seconds it took."""
    avg_logprob: float
    flags: tuple[str, ...]
    """``token_limit`` and ``repetition``, as of a recognition."""


class TextModel:
    """Runs a bundle of the family ``text``.

    Raises:
        BundleError: its manifest is incomplete, or its graph cannot be loaded.
    """

    def __init__(self, bundle: Bundle, *, n_threads: int) -> None:
        self.bundle = bundle
        try:
            self._model = msgspec.convert(bundle.manifest.model, TextModelFacts)
        except msgspec.ValidationError as error:
            raise BundleError(
                f"bundle {bundle.name}: its manifest is incomplete ({error})"
            ) from error
        self._tokenizer = Tokenizer(bundle.path(TOKENIZER))
        self._session = open_session(bundle, DECODER, n_threads=n_threads)

    def complete(self, user: str, *, system: str = "", max_tokens: int) -> Completion:
        """Answer greedily.

        Args:
            user: what the user says.
            system: what the model is told beforehand; empty: the template's own, if it has one.
            max_tokens: where an answer without an end is cut off.

        Raises:
            RequestError: the prompt is too long, or the template has no place for ``system``.
        """
        started = time.perf_counter()
        prompt = self._tokenizer.encode(self.prompt(user, system))
        if len(prompt) + max_tokens > self._model.max_positions:
            raise RequestError(
                f"a prompt of {len(prompt)} tokens and an answer of up to {max_tokens} are more "
                f"than the {self._model.max_positions} that bundle {self.bundle.name} holds",
            )
        decoded = self._greedy(prompt, max_tokens)
        text = self._tokenizer.decode(decoded.token_ids)
        flags = decoded.flags
        if not flags and compression_ratio(text) > MAX_COMPRESSION_RATIO:
            flags = ("repetition",)
        return Completion(text, time.perf_counter() - started, decoded.avg_logprob, flags)

    def prompt(self, user: str, system: str = "") -> str:
        """Return all that the model reads, as its chat template has it.

        Raises:
            RequestError: the template has no place for ``system``, or must have one.
        """
        user, system = self._plain(user), self._plain(system)
        chat = self._model.chat
        if system or chat.without_system is None:
            if chat.with_system is None:
                raise RequestError(
                    f"bundle {self.bundle.name} takes no system prompt; put it into the prompt"
                )
            before, between, after = chat.with_system
            return f"{before}{system}{between}{user}{after}"
        before, after = chat.without_system
        return f"{before}{user}{after}"

    def _plain(self, words: str) -> str:
        """Return words without what would end the user's turn, or begin another."""
        for special in self._model.special_tokens:
            words = words.replace(special, " ")
        return words.strip()

    def _greedy(self, prompt: Sequence[int], max_tokens: int) -> Decoded:
        ends = self._model.end_token_ids
        search = GreedySearch(end_token=ends[0], max_tokens=max_tokens)
        decoder = _TextDecoder(self._session, self._model)
        fed: Sequence[int] = prompt
        while True:
            choice = likeliest(decoder.feed(fed))
            if choice.token_id in ends:
                choice = Choice(ends[0], choice.logprob)
            token = search.take(choice)
            if token is None:
                return search.decoded()
            fed = [token]


class _TextDecoder:
    """The graph with the cache of one prompt and its answer."""

    def __init__(self, session: Session, model: TextModelFacts) -> None:
        self._session = session
        shape = (1, model.n_kv_heads, 0, model.head_dim)
        empty = tensor(np.zeros(shape, dtype=np.float32))
        names = (name for name in session.input_names if name.startswith(_PAST))
        self._past: dict[str, Tensor] = dict.fromkeys(names, empty)
        self._n_past = 0

    def feed(self, token_ids: Sequence[int]) -> Logits:
        n_all = self._n_past + len(token_ids)
        inputs = {
            "input_ids": np.array([token_ids], dtype=np.int64),
            "attention_mask": np.ones((1, n_all), dtype=np.int64),
            "position_ids": np.arange(self._n_past, n_all, dtype=np.int64)[np.newaxis],
        }
        # Not every architecture's graph asks for positions: some count them by themselves.
        known = {
            name: tensor(value)
            for name, value in inputs.items()
            if name in self._session.input_names
        }
        outputs = self._session.run({**known, **self._past}, self._session.output_names)
        logits: Logits = outputs.pop("logits").numpy()[0, -1]
        self._past = {name.replace("present.", _PAST, 1): value for name, value in outputs.items()}
        self._n_past = n_all
        return logits
