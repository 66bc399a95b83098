"""How fast a Granite bundle is on this machine: each stage timed on random input.

Times depend on shapes and not on what is said, so that noise will do. What they make of speech is
derived: text of a usual length, without the help of a draft and with one that is nearly right.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.recognizers.granite_bundle import ENCODER, open_decoder, open_table, read_model
from edge_asr.recognizers.granite_features import FRAME_S
from edge_asr.recognizers.speculative import FIRST_WINDOW
from edge_asr.sessions import open_session, tensor

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.bundle import Bundle
    from edge_asr.recognizers.granite_bundle import GraniteModel

SOUND_S = 10.0
"""Length of the utterance that is imagined."""
VERIFIED_TOKENS = FIRST_WINDOW + 1
"""The last token found, and the next of a draft."""
_TEXT_TOKENS_PER_S = 3.5
_PROMPT_TOKENS = 18
_N_ENCODES, _N_STEPS = 3, 5


@dataclass(frozen=True, slots=True)
class Pace:
    """Medians for an utterance of 10 s, in seconds."""

    encode_s: float
    prefill_s: float
    step_s: float
    """One token of text."""
    verify_s: float
    """``VERIFIED_TOKENS`` at once."""

    @property
    def rtf(self) -> float:
        """Derived: the real-time factor without drafts."""
        return self._rtf(self.step_s * _TEXT_TOKENS_PER_S * SOUND_S)

    @property
    def rtf_with_drafts(self) -> float:
        """Derived: the real-time factor where drafts are right."""
        n_calls = _TEXT_TOKENS_PER_S * SOUND_S / VERIFIED_TOKENS
        return self._rtf(self.verify_s * n_calls)

    def _rtf(self, text_s: float) -> float:
        return (self.encode_s + self.prefill_s + text_s) / SOUND_S


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
