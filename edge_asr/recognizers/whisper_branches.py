"""Whisper's decoder with several texts of one utterance at once, for beam search."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.sessions import tensor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edge_asr.recognizers.beam import BatchLogits
    from edge_asr.recognizers.decoding import Logits
    from edge_asr.sessions import Session

Array = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


class WhisperBranches:
    """The decoder graph with a cache for each text.

    Args:
        session: the decoder's graph.
        cross: keys and values of the sound, as the graph's inputs name them.
        prompted: the cache behind the prompt, as the graph's inputs name it; copied for each text.
        n_prompted: how many of its positions are filled.
        logit_bias: added to logits.
        n_texts: how many.
    """

    def __init__(
        self,
        session: Session,
        cross: Mapping[str, Array],
        prompted: Mapping[str, Array],
        n_prompted: int,
        logit_bias: Logits,
        n_texts: int,
    ) -> None:
        self._n_past = n_prompted
        self._bias = logit_bias
        self._caches = {name: np.repeat(value, n_texts, axis=0) for name, value in prompted.items()}
        caches = {name: tensor(value) for name, value in self._caches.items()}
        sound = {name: tensor(value) for name, value in cross.items()}  # once, for all texts
        self._binding = session.bind(
            caches | sound | {"logit_bias": tensor(logit_bias)},
            {
                name.replace("past_key_values.", "present.", 1): each
                for name, each in caches.items()
            },
        )
        self._logits: Array = np.empty((n_texts, 1, len(logit_bias)), dtype=np.float32)

    def step(self, parents: Sequence[int], token_ids: Sequence[int]) -> BatchLogits:
        """Go on; see :class:`edge_asr.recognizers.beam.Branches`."""
        if list(parents) != list(range(len(parents))):
            for cache in self._caches.values():
                cache[:, :, : self._n_past] = cache[list(parents), :, : self._n_past]
        positions = np.full((len(token_ids), 1), self._n_past, dtype=np.int64)
        self._binding.run(
            {
                "input_ids": tensor(np.array(token_ids, dtype=np.int64)[:, np.newaxis]),
                "position_ids": tensor(positions),
            },
            {"logits": tensor(self._logits)},
        )
        self._n_past += 1
        logits: BatchLogits = self._logits[:, 0] + self._bias
        return logits
