"""Runs Granite's graphs on their own, and says how far their numbers lie from the original's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_asr.sessions import Session, tensor
from export.granite_manifest import DECODER, EMBEDDING, ENCODER
from export.parity import Parity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_asr.sessions import Tensor
    from export.granite_original import Array, Expected


@dataclass(frozen=True, slots=True)
class GraniteParity(Parity):
    """Largest absolute differences from the original, and how many of its tokens are found."""

    ctc: float
    """Of CTC logits."""
    tokens: float
    """Share of tokens at which the graphs, fed the original's tokens, would have gone on alike."""


class GraniteGraphs:
    """A folder with graphs and the embedding table, ready to run."""

    def __init__(self, directory: Path, model: dict[str, Any], *, n_threads: int) -> None:
        self._model = model
        self._encoder = Session(directory / ENCODER, n_threads=n_threads)
        self._decoder = Session(directory / DECODER, n_threads=n_threads)
        shape = (model["vocab_size"], model["hidden_size"])
        self._table = np.memmap(directory / EMBEDDING, "<f2", mode="r", shape=shape)

    def encode(self, features: Array) -> tuple[Array, Array]:
        """Return audio features and CTC logits of one clip."""
        lengths = np.array([features.shape[1]], dtype=np.int64)
        outputs = self._encoder.run(
            {"input_features": tensor(features), "frame_lengths": tensor(lengths)},
            ["audio_features", "ctc_logits"],
        )
        return outputs["audio_features"].numpy(), outputs["ctc_logits"].numpy()

    def prompt_embeddings(self, prompt: Sequence[int], audio_features: Array) -> Array:
        """Return the embeddings of a prompt, the audio features in place of its audio token."""
        at = list(prompt).index(self._model["audio_token_id"])
        before, after = self.embed(prompt[:at]), self.embed(prompt[at + 1 :])
        return np.concatenate([before, audio_features, after], axis=1)

    def embed(self, token_ids: Sequence[int]) -> Array:
        """Return the embeddings of tokens, ``(1, n_tokens, hidden_size)``."""
        rows: Array = self._table[list(token_ids)].astype(np.float32)[np.newaxis]
        return rows

    def step(
        self, embeddings: Array, past: dict[str, Tensor], n_past: int, n_logits: int
    ) -> tuple[Array, dict[str, Tensor]]:
        """Return the last ``n_logits`` logits, ``(n_logits, vocab_size)``, and the filled caches.

        The caches that were given stay as they are.
        """
        n_tokens = embeddings.shape[1]
        positions = np.arange(n_past, n_past + n_tokens, dtype=np.int64)
        n_rows = min(n_logits, n_tokens) or n_tokens
        inputs = {
            "inputs_embeds": tensor(embeddings),
            "position_ids": tensor(positions[np.newaxis]),
            "num_logits_to_keep": tensor(np.array(n_logits, dtype=np.int64)),
            "asked_ids": tensor(np.zeros((1, n_rows), dtype=np.int64)),
        }
        names = [name for name in self._decoder.output_names if name.startswith("present.")]
        outputs = self._decoder.run({**inputs, **past}, ["logits", *names])
        logits: Array = outputs.pop("logits").numpy()[0]
        return logits, {
            name.replace("present.", "past_key_values.", 1): value
            for name, value in outputs.items()
        }

    def no_past(self, n_positions: int) -> dict[str, Tensor]:
        """Return empty caches with room for ``n_positions``."""
        shape = (1, self._model["n_kv_heads"], n_positions, self._model["head_dim"])
        empty = tensor(np.zeros(shape, dtype=np.float32))
        names = self._decoder.input_names
        return {name: empty for name in names if name.startswith("past_key_values.")}

    def greedy(self, features: Array, prompt: Sequence[int], max_tokens: int) -> list[int]:
        """Return the greedy tokens for one clip, without the end token."""
        embeddings = self.prompt_embeddings(prompt, self.encode(features)[0])
        past = self.no_past(embeddings.shape[1] + max_tokens)
        n_past, found = 0, list[int]()
        while len(found) < max_tokens:
            logits, past = self.step(embeddings, past, n_past, 1)
            n_past += embeddings.shape[1]
            best = int(logits[0].argmax())
            if best == self._model["end_of_text_id"]:
                break
            found.append(best)
            embeddings = self.embed(found[-1:])
        return found


def measure_parity(
    graphs: GraniteGraphs, expected: Sequence[Expected], prompt: Sequence[int]
) -> GraniteParity:
    """Run graphs over the same clips and compare; the worst clip counts.

    The decoder is fed the prompt and all tokens but the last at once, then the last alone.
    """
    encoder, ctc, decoder, agreed, n_tokens = 0.0, 0.0, 0.0, 0, 0
    for clip in expected:
        audio_features, ctc_logits = graphs.encode(clip.features)
        encoder = max(encoder, _difference(audio_features, clip.audio_features))
        ctc = max(ctc, _difference(ctc_logits, clip.ctc_logits))
        found = _forced_logits(graphs, prompt, audio_features, clip.token_ids)
        decoder = max(decoder, _difference(found, clip.logits))
        agreed += int((found.argmax(axis=1) == clip.logits.argmax(axis=1)).sum())
        n_tokens += len(found)
    return GraniteParity(encoder, decoder, ctc, agreed / n_tokens)


def _forced_logits(
    graphs: GraniteGraphs, prompt: Sequence[int], audio_features: Array, token_ids: Sequence[int]
) -> Array:
    prefix = graphs.prompt_embeddings(prompt, audio_features)
    past = graphs.no_past(prefix.shape[1] + len(token_ids))
    if not token_ids:
        return graphs.step(prefix, past, 0, 1)[0]
    first = np.concatenate([prefix, graphs.embed(token_ids[:-1])], axis=1)
    most, past = graphs.step(first, past, 0, len(token_ids))
    last, _ = graphs.step(graphs.embed(token_ids[-1:]), past, first.shape[1], 1)
    return np.concatenate([most, last])


def _difference(found: Array, wanted: Array) -> float:
    return float(np.abs(found - wanted).max())
