"""Granite's language model at run time: the embedding table, the decoder graph, and its cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.errors import BundleError
from edge_asr.sessions import tensor

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_asr.recognizers.decoding import Logits
    from edge_asr.recognizers.speculative import LogitRows
    from edge_asr.sessions import Session, Tensor

Embeddings = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""float32, shape ``(1, n_tokens, hidden_size)``."""
_PAST = "past_key_values."


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
    """The decoder graph with the cache of one utterance."""

    def __init__(
        self, session: Session, table: EmbeddingTable, *, n_kv_heads: int, head_dim: int
    ) -> None:
        self._session = session
        self._table = table
        empty = tensor(np.zeros((1, n_kv_heads, 0, head_dim), dtype=np.float32))
        names = (name for name in session.input_names if name.startswith(_PAST))
        self._past: dict[str, Tensor] = dict.fromkeys(names, empty)
        self._n_past = 0

    def prefill(self, embeddings: Embeddings) -> Logits:
        """Feed the prompt; return the logits of what follows it."""
        logits: Logits = self._run(embeddings, n_logits=1)[0]
        return logits

    def feed(self, token_ids: Sequence[int]) -> Logits:
        """Feed tokens; return the logits of what follows them."""
        logits: Logits = self._run(self._table.embed(token_ids), n_logits=1)[0]
        return logits

    def verify(self, token_ids: Sequence[int]) -> LogitRows:
        """Feed tokens; return the logits of what follows each of them."""
        return self._run(self._table.embed(token_ids), n_logits=len(token_ids))

    def rewind(self, n_tokens: int) -> None:
        """Forget the last ``n_tokens`` that were fed."""
        if n_tokens == 0:
            return
        self._n_past -= n_tokens
        self._past = {
            name: tensor(value.numpy()[:, :, : self._n_past]) for name, value in self._past.items()
        }

    def _run(self, embeddings: Embeddings, *, n_logits: int) -> LogitRows:
        n_tokens = embeddings.shape[1]
        positions = np.arange(self._n_past, self._n_past + n_tokens, dtype=np.int64)
        outputs = self._session.run(
            {
                "inputs_embeds": tensor(embeddings),
                "position_ids": tensor(positions[np.newaxis]),
                "num_logits_to_keep": tensor(np.array(n_logits, dtype=np.int64)),
                **self._past,
            },
            self._session.output_names,
        )
        logits: LogitRows = outputs.pop("logits").numpy()[0]
        self._past = {name.replace("present.", _PAST, 1): value for name, value in outputs.items()}
        self._n_past += n_tokens
        return logits
