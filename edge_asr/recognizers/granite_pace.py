"""How fast a Granite bundle is on this machine: each stage timed on random input."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.recognizers.granite_bundle import ENCODER, open_decoder, open_table, read_model
from edge_asr.recognizers.granite_features import FRAME_S
from edge_asr.recognizers.pace import SOUND_S, Pace
from edge_asr.recognizers.speculative import FIRST_WINDOW
from edge_asr.sessions import open_session, tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.bundle import Bundle
    from edge_asr.recognizers.granite_bundle import GraniteModel

VERIFIED_TOKENS = FIRST_WINDOW + 1
"""The last token found, and the next of a draft."""
_PROMPT_TOKENS = 18
_N_ENCODES, _N_STEPS = 3, 5


def measure_granite(bundle: Bundle, *, n_threads: int) -> Pace:
    """Time the stages of a bundle of the family ``granite``.

    Raises:
        BundleError: its graphs cannot be loaded.
    """
    model = read_model(bundle)
    random = np.random.default_rng(1)
    encode_s = _encode_s(bundle, model, random, n_threads)
    table = open_table(bundle, model)
    decoder = open_decoder(bundle, model, table, n_threads=n_threads)
    n_sound = round(SOUND_S / FRAME_S / model.projector_window) * model.projector_tokens
    prompt = table.embed(random.integers(model.vocab_size, size=_PROMPT_TOKENS + n_sound).tolist())
    room = _N_STEPS * (1 + VERIFIED_TOKENS)
    window = random.integers(model.vocab_size, size=VERIFIED_TOKENS).tolist()
    return Pace(
        encode_s=encode_s,
        prefill_s=_median_s(_N_ENCODES, lambda: decoder.prefill(prompt, max_tokens=room)),
        step_s=_median_s(_N_STEPS, lambda: decoder.verify(window[:1])),
        verify_s=_median_s(_N_STEPS, lambda: decoder.verify(window)),
        verified_tokens=VERIFIED_TOKENS,
    )


def _encode_s(
    bundle: Bundle, model: GraniteModel, random: np.random.Generator, n_threads: int
) -> float:
    encoder = open_session(bundle, ENCODER, n_threads=n_threads)
    n_frames = round(SOUND_S / FRAME_S)
    features = random.normal(size=(1, n_frames, 2 * model.n_mels)).astype(np.float32)
    inputs = {
        "input_features": tensor(features),
        "frame_lengths": tensor(np.array([n_frames], dtype=np.int64)),
    }
    return _median_s(_N_ENCODES, lambda: encoder.run(inputs, ["audio_features", "ctc_logits"]))


def _median_s(n_runs: int, run: Callable[[], object]) -> float:
    times_s = []
    for _ in range(n_runs):
        started = time.perf_counter()
        run()
        times_s.append(time.perf_counter() - started)
    return statistics.median(times_s)
