"""How far the graphs' numbers lie from the original's, on one clip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edge_asr.recognizers.whisper_bundle import DECODER, ENCODER
from edge_asr.sessions import open_session, tensor

if TYPE_CHECKING:
    from edge_asr.bundle import Bundle
    from edge_asr.records import Waveform
    from edge_asr.sessions import Tensor
    from export.original import Array, OriginalWhisper


@dataclass(frozen=True, slots=True)
class Parity:
    """Largest absolute differences from the original."""

    encoder: float
    """Of cross-attention keys and values."""
    logits: float


@dataclass(frozen=True, slots=True)
class Expected:
    """What the original gives for one clip."""

    features: Array
    caches: dict[str, Array]
    token_ids: list[int]
    """The tokens fed to the decoder."""
    logits: Array


def expected_of(
    original: OriginalWhisper, waveform: Waveform, prompt: list[int], language: str
) -> Expected:
    """Run the original over one clip."""
    features = original.features(waveform)
    token_ids = [*prompt, *original.token_ids(features, language)[0]]
    return Expected(
        features=features.numpy(),
        caches=original.cross_caches(features),
        token_ids=token_ids,
        logits=original.logits(features, token_ids),
    )


def measure_parity(bundle: Bundle, expected: Expected, *, n_threads: int) -> Parity:
    """Run a bundle's graphs over the same clip and compare.

    The decoder is fed all tokens but the last at once, then the last alone: both of its ways.
    """
    encoder = open_session(bundle, ENCODER, n_threads=n_threads)
    present = encoder.run({"input_features": tensor(expected.features)}, encoder.output_names)
    encoder_difference = max(
        float(np.abs(present[name].numpy() - wanted).max())
        for name, wanted in expected.caches.items()
    )
    logits = _logits(bundle, expected, present, n_threads)
    return Parity(encoder_difference, float(np.abs(logits - expected.logits).max()))


def _logits(
    bundle: Bundle,
    expected: Expected,
    present: dict[str, Tensor],
    n_threads: int,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    decoder = open_session(bundle, DECODER, n_threads=n_threads)
    cross = {_as_past(name): value for name, value in present.items()}
    model = bundle.manifest.model
    n_tokens = len(expected.token_ids)
    empty = np.zeros((1, model["n_heads"], n_tokens, model["head_dim"]), dtype=np.float32)
    past = {name: tensor(empty) for name in decoder.input_names if ".decoder." in name}
    bias = {"logit_bias": tensor(np.zeros(model["vocab_size"], dtype=np.float32))}
    found = []
    for start, end in ((0, n_tokens - 1), (n_tokens - 1, n_tokens)):
        inputs = {
            "input_ids": tensor(np.asarray([expected.token_ids[start:end]], dtype=np.int64)),
            "position_ids": tensor(np.arange(start, end, dtype=np.int64)[np.newaxis]),
        }
        outputs = decoder.run(inputs | bias | past | cross, decoder.output_names)
        found.append(outputs["logits"].numpy()[0])
        past = {_as_past(name): value for name, value in outputs.items() if ".decoder." in name}
    return np.concatenate(found)


def _as_past(name: str) -> str:
    return name.replace("present.", "past_key_values.", 1)
