"""Whisper's decoder at run time: the graph, and the caches of one utterance at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.recognizers.decoding import Choice
from edge_asr.recognizers.speculative import Verified
from edge_asr.recognizers.whisper_branches import WhisperBranches
from edge_asr.recognizers.whisper_rows import RowShape, WhisperRows
from edge_asr.sessions import tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_asr.recognizers.cross_alignment import AttentionScores
    from edge_asr.recognizers.decoding import Logits
    from edge_asr.sessions import Binding, Session, Tensor

PromptLogits = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""float32, shape ``(n_tokens, vocab_size)``."""
Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
Queries = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""float32, shape ``(1, n_positions, n_heads * head_dim)``."""
_PAST, _PRESENT = "past_key_values.", "present."
_ENCODER_KEY = "present.{}.encoder.key"
_ROOM = 64
"""Positions by which caches differ in size: utterances of about the same length share one."""


class WhisperDecoder:
    """The decoder graph with the cache of one utterance at a time.

    The cache is memory that the graph reads and writes in place.
    """

    def __init__(
        self,
        session: Session,
        *,
        n_heads: int,
        head_dim: int,
        vocab_size: int,
        n_text_ctx: int,
        alignment_heads: Sequence[tuple[int, int]] = (),
    ) -> None:
        self._session = session
        self._alignment_heads = alignment_heads
        self._asking_layers = sorted({layer for layer, _ in alignment_heads})
        self._shape = (n_heads, head_dim)
        self._vocab_size = vocab_size
        self._n_text_ctx = n_text_ctx
        self._names = [name for name in session.input_names if ".decoder." in name]
        self._cache: dict[str, Tensor] = {}
        self._queries: dict[int, Queries] = {}
        self._keys: dict[int, Tensor] = {}
        self._cross: dict[str, Tensor] = {}
        self._n_positions = 0
        self.n_past = 0
        """How many tokens were fed."""
        self.forget()

    @property
    def n_room(self) -> int:
        """How many tokens can be fed for this utterance."""
        return self._n_positions

    def hear(self, present: Mapping[str, Tensor], logit_bias: Logits, max_tokens: int) -> None:
        """Begin an utterance, and forget the one before.

        Args:
            present: the encoder's cross-attention keys and values, as it names them.
            logit_bias: added to logits before a choice: minus infinity for what may not come.
            max_tokens: how many tokens may be fed.
        """
        self._make_room(min(max_tokens, self._n_text_ctx))
        self._keys = {layer: present[_ENCODER_KEY.format(layer)] for layer in self._queries}
        cross = {name.replace(_PRESENT, _PAST, 1): value for name, value in present.items()}
        kept = {name.replace(_PAST, _PRESENT, 1): value for name, value in self._cache.items()}
        self._cross, self._bias = cross, logit_bias
        inputs = self._cache | cross | {"logit_bias": tensor(logit_bias)}
        # What is bound stays bound: each has outputs of its own.
        self._showing, self._choosing = (self._session.bind(inputs, kept) for _ in range(2))
        self.n_past = 0

    def forget(self) -> None:
        """Let the memory of the utterance's sound go."""
        self._showing, self._choosing = (self._session.bind({}, {}) for _ in range(2))
        self._keys, self._cross = {}, {}
        self._session.give_table_back()

    def prompt(self, token_ids: Sequence[int]) -> PromptLogits:
        """Feed tokens; return the logits of what follows each, which the caller may alter."""
        logits = np.empty((1, len(token_ids), self._vocab_size), dtype=np.float32)
        self._feed(self._showing, token_ids, {"logits": tensor(logits)})
        answers: PromptLogits = logits[0]
        return answers

    def verify(self, token_ids: Sequence[int]) -> Verified:
        """Feed tokens; say what follows each of them."""
        shape = (1, len(token_ids))
        best_ids = np.empty(shape, dtype=np.int64)
        best_logprobs = np.empty(shape, dtype=np.float32)
        outputs = {"best_ids": tensor(best_ids), "best_logprobs": tensor(best_logprobs)}
        self._feed(self._choosing, token_ids, outputs)
        found = zip(best_ids[0].tolist(), best_logprobs[0].tolist(), strict=True)
        return Verified([Choice(*each) for each in found], ())

    def rewind(self, n_tokens: int) -> None:
        """Forget the last ``n_tokens`` that were fed."""
        self.n_past -= n_tokens

    def attention_scores(self, first: int, frames: slice) -> AttentionScores:
        """Return where the heads that follow the sound looked, before the softmax.

        Args:
            first: position of the first token that was fed which is of interest.
            frames: of the sound, those that are of interest.
        """
        queries = {layer: each[0, first : self.n_past] for layer, each in self._queries.items()}
        return self._scores(queries, self._keys, frames)

    def attention_scores_of(
        self, rows: WhisperRows, row: int, first: int, n_tokens: int, frames: slice
    ) -> AttentionScores:
        """Return the same for one of several utterances.

        Args:
            rows: the utterances.
            row: which one.
            first: position of its first token that is of interest.
            n_tokens: how many are.
            frames: of its sound, those that are of interest.
        """
        sound = rows.sound(row)
        keys = {layer: sound[_ENCODER_KEY.format(layer)] for layer in self._asking_layers}
        queries = {
            layer: each[first : first + n_tokens] for layer, each in rows.queries(row).items()
        }
        return self._scores(queries, keys, frames)

    def _scores(
        self, queries: Mapping[int, Array], keys: Mapping[int, Tensor], frames: slice
    ) -> AttentionScores:
        head_dim = self._shape[1]
        keys_of = {layer: key.numpy() for layer, key in keys.items()}
        scores = []
        for layer, head in self._alignment_heads:
            part = slice(head * head_dim, (head + 1) * head_dim)
            scores.append(queries[layer][:, part] @ keys_of[layer][0, head, frames].T)
        found: AttentionScores = np.stack(scores) / np.sqrt(np.float32(head_dim))
        return found

    def branches(self, n_past: int, n_texts: int) -> WhisperBranches:
        """Return the decoder with several texts that begin with the first ``n_past`` tokens."""
        return WhisperBranches(
            self._session,
            {name: value.numpy() for name, value in self._cross.items()},
            {name: value.numpy() for name, value in self._cache.items()},
            n_past,
            self._bias,
            n_texts,
        )

    def rows(self, n_rows: int, n_frames: int, logit_bias: Logits, max_tokens: int) -> WhisperRows:
        """Return the decoder with several utterances; none has been fed anything yet.

        Args:
            n_rows: utterances.
            n_frames: encoder frames of each.
            logit_bias: see :meth:`hear`.
            max_tokens: how many tokens may be fed in each.
        """
        n_positions = min(max_tokens, self._n_text_ctx)
        shape = RowShape(*self._shape, n_frames, n_positions)
        return WhisperRows(self._session, n_rows, shape, self._asking_layers, logit_bias)

    def begin(self, rows: WhisperRows, row: int) -> None:
        """Have one of several utterances go on behind what was fed here for it."""
        cache = {name: each.numpy() for name, each in self._cache.items()}
        rows.begin(row, cache, self._queries, self.n_past)

    def _feed(
        self, binding: Binding, token_ids: Sequence[int], outputs: Mapping[str, Tensor]
    ) -> None:
        n_tokens = len(token_ids)
        places = slice(self.n_past, self.n_past + n_tokens)
        positions = np.arange(places.start, places.stop, dtype=np.int64)
        asked = {
            f"cross_queries.{layer}": tensor(queries[:, places])
            for layer, queries in self._queries.items()
        }
        binding.run(
            {
                "input_ids": tensor(np.array([token_ids], dtype=np.int64)),
                "position_ids": tensor(positions[np.newaxis]),
            },
            {**outputs, **asked},
        )
        self.n_past += n_tokens

    def _make_room(self, n_needed: int) -> None:
        n_positions = min(-(-n_needed // _ROOM) * _ROOM, self._n_text_ctx)
        if n_positions == self._n_positions:
            return
        n_heads, head_dim = self._shape
        shape = (1, n_heads, n_positions, head_dim)
        self._cache = {}  # lets the old one go first
        self._cache = {name: tensor(np.zeros(shape, dtype=np.float32)) for name in self._names}
        self._queries = {
            layer: np.zeros((1, n_positions, n_heads * head_dim), dtype=np.float32)
            for layer in self._asking_layers
        }
        self._n_positions = n_positions
