"""Granite's language model at run time: the embedding table, the decoder graph, and its cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.errors import BundleError
from edge_asr.recognizers.decoding import Choice
from edge_asr.recognizers.speculative import Verified
from edge_asr.sessions import tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_asr.sessions import Binding, Session

Embeddings = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""float32, shape ``(1, n_tokens, hidden_size)``."""
Cache = dict[str, np.ndarray[tuple[int, int, int, int], np.dtype[np.float32]]]
"""By the graph's input, float32 ``(1, n_kv_heads, n_positions, head_dim)``."""
_PAST = "past_key_values."
_ROOM = 64
"""Positions by which caches differ in size: utterances of about the same length share one."""


class EmbeddingTable:
    """One row for each token: little-endian float16, mapped from its file and never read whole."""

    def __init__(self, path: Path, *, vocab_size: int, hidden_size: int) -> None:
        n_bytes = vocab_size * hidden_size * np.dtype("<f2").itemsize
        if path.stat().st_size != n_bytes:
            raise BundleError(f"{path}: not a table of {vocab_size} rows of {hidden_size} values")
        self._rows = np.memmap(path, dtype="<f2", mode="r", shape=(vocab_size, hidden_size))

    def embed(self, token_ids: Sequence[int]) -> Embeddings:
        """Return the tokens' embeddings. The graph scales them, as it does sound's."""
        rows: Embeddings = self._rows[list(token_ids)].astype(np.float32)[np.newaxis]
        return rows


class GraniteDecoder:
    """The decoder graph with the cache of one utterance at a time.

    The cache is memory that the graph reads and writes in place. A row's sums run over all of it,
    so its size stays the same while an utterance is decoded.
    """

    def __init__(
        self,
        session: Session,
        table: EmbeddingTable,
        *,
        n_kv_heads: int,
        head_dim: int,
        rows_together: int = 1,
    ) -> None:
        """Take over an open graph.

        Args:
            session: the graph.
            table: its embeddings.
            n_kv_heads: of each layer's cache.
            head_dim: the same.
            rows_together: tokens are fed in multiples of it, the last one again and again where
                they are fewer; nothing is kept of what does not count.
        """
        self._session = session
        self._table = table
        self._shape = (n_kv_heads, head_dim)
        self._rows_together = rows_together
        self._names = [name for name in session.input_names if name.startswith(_PAST)]
        self._cache: Cache = {}
        self._binding = session.bind({}, {})
        self._n_past = 0

    def prefill(self, embeddings: Embeddings, *, max_tokens: int) -> Choice:
        """Forget everything and feed a prompt; return what follows it.

        Args:
            embeddings: of the prompt.
            max_tokens: how many tokens may be fed after it.
        """
        self._n_past = 0
        n_prompt = embeddings.shape[1]
        prompt = self._empty_cache(n_prompt)  # attention need not run over room for the text
        found = self._run(self._bound(prompt), embeddings, asked_ids=[0], give_back=True)
        self._make_room(n_prompt + max_tokens + self._rows_together - 1)
        for name, kept in self._cache.items():
            kept[:, :, :n_prompt] = prompt[name]
        return found.choices[0]

    def verify(self, token_ids: Sequence[int]) -> Verified:
        """Feed tokens; say what follows each of them."""
        n_tokens = len(token_ids)
        fed = [*token_ids, *[token_ids[-1]] * (-n_tokens % self._rows_together)]
        found = self._run(self._binding, self._table.embed(fed), asked_ids=[*fed[1:], 0])
        self.rewind(len(fed) - n_tokens)
        return Verified(found.choices[:n_tokens], found.fed_logprobs[: n_tokens - 1])

    def rewind(self, n_tokens: int) -> None:
        """Forget the last ``n_tokens`` that were fed."""
        self._n_past -= n_tokens

    def _make_room(self, n_needed: int) -> None:
        n_positions = -(-n_needed // _ROOM) * _ROOM
        if self._cache and self._cache[self._names[0]].shape[2] == n_positions:
            return
        self._binding, self._cache = self._session.bind({}, {}), {}  # lets the old one go first
        self._cache = self._empty_cache(n_positions)
        self._binding = self._bound(self._cache)

    def _empty_cache(self, n_positions: int) -> Cache:
        n_kv_heads, head_dim = self._shape
        shape = (1, n_kv_heads, n_positions, head_dim)
        return {name: np.zeros(shape, dtype=np.float32) for name in self._names}

    def _bound(self, cache: Cache) -> Binding:
        """Return the graph reading and writing ``cache`` in place."""
        past = {name: tensor(values) for name, values in cache.items()}
        present = {name.replace(_PAST, "present.", 1): value for name, value in past.items()}
        return self._session.bind(past, present)

    def _run(
        self,
        binding: Binding,
        embeddings: Embeddings,
        *,
        asked_ids: Sequence[int],
        give_back: bool = False,
    ) -> Verified:
        """Feed embeddings; say what follows the last of them, as many as are asked for."""
        n_tokens, n_rows = embeddings.shape[1], len(asked_ids)
        positions = np.arange(self._n_past, self._n_past + n_tokens, dtype=np.int64)
        best_ids = np.empty((1, n_rows), dtype=np.int64)
        best_logprobs = np.empty((1, n_rows), dtype=np.float32)
        asked_logprobs = np.empty((1, n_rows), dtype=np.float32)
        binding.run(
            {
                "inputs_embeds": tensor(embeddings),
                "position_ids": tensor(positions[np.newaxis]),
                "num_logits_to_keep": tensor(np.array(n_rows, dtype=np.int64)),
                "asked_ids": tensor(np.array([asked_ids], dtype=np.int64)),
            },
            {
                "best_ids": tensor(best_ids),
                "best_logprobs": tensor(best_logprobs),
                "asked_logprobs": tensor(asked_logprobs),
            },
            give_back=give_back,
        )
        self._n_past += n_tokens
        found = zip(best_ids[0].tolist(), best_logprobs[0].tolist(), strict=True)
        return Verified([Choice(*each) for each in found], asked_logprobs[0, :-1].tolist())
