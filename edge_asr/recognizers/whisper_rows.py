"""Whisper's decoder with several utterances at once, each in a row of the batch.

All rows have the same number of encoder frames. Where an utterance has ended, another begins; where
there is none left, the last row that goes on takes the place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from edge_asr.recognizers.decoding import Choice
from edge_asr.sessions import tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_asr.recognizers.decoding import Logits
    from edge_asr.sessions import Binding, Session, Tensor

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]
_PAST, _PRESENT = "past_key_values.", "present."


class RowShape(NamedTuple):
    """What an utterance takes in the batch."""

    n_heads: int
    head_dim: int
    n_frames: int
    """Of the encoder."""
    n_positions: int
    """Tokens that can be fed."""


class WhisperRows:
    """The decoder graph with a row for each utterance.

    Args:
        session: the decoder's graph.
        n_rows: utterances.
        shape: of each.
        asking_layers: those whose attention follows the sound.
        logit_bias: added to logits before a choice.
    """

    def __init__(
        self,
        session: Session,
        n_rows: int,
        shape: RowShape,
        asking_layers: Sequence[int],
        logit_bias: Logits,
    ) -> None:
        self._session = session
        self._bias = tensor(logit_bias)
        n_heads, head_dim, n_frames, n_positions = shape
        lengths = {".decoder.": n_positions, ".encoder.": n_frames}
        caches: dict[str, dict[str, Array]] = {
            kind: {
                name: np.zeros((n_rows, n_heads, length, head_dim), dtype=np.float32)
                for name in session.input_names
                if kind in name
            }
            for kind, length in lengths.items()
        }
        self._cache, self._cross = caches.values()
        width = n_heads * head_dim
        self._asked: dict[int, Array] = {
            layer: np.empty((n_rows, 1, width), dtype=np.float32) for layer in asking_layers
        }
        self._queries: dict[int, Array] = {
            layer: np.empty((n_rows, n_positions, width), dtype=np.float32)
            for layer in asking_layers
        }
        self._best_ids = np.empty((n_rows, 1), dtype=np.int64)
        self._best_logprobs = np.empty((n_rows, 1), dtype=np.float32)
        self._going = list(range(n_rows))
        """The row at each place of the batch that goes on."""
        self._places = list(range(n_rows))
        """Where each row's sound is."""
        self._n_past = np.zeros(n_rows, dtype=np.int64)
        """Tokens that were fed, at each place."""
        self._binding: Binding | None = None

    def sound(self, row: int) -> dict[str, Tensor]:
        """Return the memory for a row's cross-attention keys and values, as the encoder names them.

        Once another utterance begins in the row, it is that one's.
        """
        place = self._places[row]
        return {
            name.replace(_PAST, _PRESENT, 1): tensor(each[place : place + 1])
            for name, each in self._cross.items()
        }

    def begin(
        self, row: int, cache: Mapping[str, Array], queries: Mapping[int, Array], n_past: int
    ) -> None:
        """Take over what an utterance's prompt left behind.

        Args:
            row: the utterance's.
            cache: keys and values, shape ``(1, n_heads, at least n_past, head_dim)``.
            queries: of the layers that follow the sound, shape ``(1, at least n_past, width)``.
            n_past: tokens that were fed.
        """
        place = self._places[row]
        for name, each in self._cache.items():
            each[place, :, :n_past] = cache[name][0, :, :n_past]
        for layer, asked in self._queries.items():
            asked[row, :n_past] = queries[layer][0, :n_past]
        self._n_past[place] = n_past

    def queries(self, row: int) -> dict[int, Array]:
        """Return what a row's tokens asked the sound for; shape ``(n_positions, width)``."""
        return {layer: each[row] for layer, each in self._queries.items()}

    def step(self, token_ids: Mapping[int, int]) -> dict[int, Choice]:
        """Go on; see :class:`edge_asr.recognizers.together.Rows`."""
        for row in set(self._going) - set(token_ids):
            self._drop(row)
        n_going = len(self._going)
        if self._binding is None:
            self._binding = self._bound(n_going)
        tokens = np.array([[token_ids[row]] for row in self._going], dtype=np.int64)
        positions = self._n_past[:n_going].copy()
        self._binding.run(
            {"input_ids": tensor(tokens), "position_ids": tensor(positions[:, np.newaxis])}, {}
        )
        for layer, asked in self._asked.items():
            self._queries[layer][self._going, positions] = asked[:n_going, 0]
        self._n_past[:n_going] += 1
        found = zip(
            self._best_ids[:n_going, 0].tolist(),
            self._best_logprobs[:n_going, 0].tolist(),
            strict=True,
        )
        return {row: Choice(*each) for row, each in zip(self._going, found, strict=True)}

    def _bound(self, n: int) -> Binding:
        cache = {name: tensor(each[:n]) for name, each in self._cache.items()}
        cross = {name: tensor(each[:n]) for name, each in self._cross.items()}
        kept = {name.replace(_PAST, _PRESENT, 1): each for name, each in cache.items()}
        asked = {f"cross_queries.{layer}": tensor(each[:n]) for layer, each in self._asked.items()}
        chosen = {
            "best_ids": tensor(self._best_ids[:n]),
            "best_logprobs": tensor(self._best_logprobs[:n]),
        }
        return self._session.bind(cache | cross | {"logit_bias": self._bias}, kept | asked | chosen)

    def _drop(self, row: int) -> None:
        """Put the last row in the place of one that has ended, whose sound may be asked for yet."""
        place = self._going.index(row)
        moved = self._going.pop()
        if moved != row:
            last = len(self._going)
            self._going[place] = moved
            self._places[row], self._places[moved] = last, place
            n_past = self._n_past[place] = self._n_past[last]
            for each in self._cache.values():
                each[place, :, :n_past] = each[last, :, :n_past]
            for each in self._cross.values():
                each[[place, last]] = each[[last, place]]
        self._binding = None
