"""The original: the checkpoint in torch, run by Transformers. What the graphs are held against.

Features, prompt, suppression and greedy search are all Transformers' own, so that this compares the
whole of the runtime with the whole of the original, not only the graphs.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import torch
from transformers import WhisperFeatureExtractor
from transformers.utils import logging as transformers_logging

from edge_asr.recognizers.tokenizer import Tokenizer
from edge_asr.records import SAMPLE_RATE
from export.whisper_onnx import load_whisper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np

    from edge_asr.records import Waveform

    Array = np.ndarray[Any, np.dtype[np.float32]]


class OriginalWhisper:
    """A Transformers Whisper, in float32."""

    def __init__(self, checkpoint: Path, *, n_threads: int) -> None:
        torch.set_num_threads(n_threads)
        transformers_logging.set_verbosity_error()
        self._model = load_whisper(checkpoint)
        self._extractor = WhisperFeatureExtractor(feature_size=self._model.config.num_mel_bins)
        self._tokenizer = Tokenizer(checkpoint / "tokenizer.json")
        self._multilingual = bool(self._model.generation_config.is_multilingual)

    def transcribe(self, waveforms: Sequence[Waveform], language: str) -> list[str]:
        """Return the greedy texts of clips in one language, decoded together."""
        features = torch.cat([self.features(waveform) for waveform in waveforms])
        return [self._tokenizer.decode(found) for found in self.token_ids(features, language)]

    def token_ids(self, features: torch.Tensor, language: str) -> list[list[int]]:
        """Return the greedy tokens of each row of ``features``, without prompt and end token."""
        prompt = {"language": language, "task": "transcribe"} if self._multilingual else {}
        with torch.inference_mode(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            generated = self._model.generate(
                features,
                attention_mask=torch.ones(len(features), features.shape[-1], dtype=torch.long),
                do_sample=False,
                num_beams=1,
                max_new_tokens=self._model.config.max_target_positions // 2,
                **prompt,
            )
        # Whisper's special tokens, the padding behind shorter texts among them, follow its words.
        first_special = self._model.generation_config.eos_token_id
        return [[token for token in row if token < first_special] for row in generated.tolist()]

    def features(self, waveform: Waveform) -> torch.Tensor:
        """Return Transformers' features of a window of 30 s, ``(1, n_mels, 3000)``."""
        extracted = self._extractor(waveform, sampling_rate=SAMPLE_RATE, return_tensors="pt")
        features: torch.Tensor = extracted.input_features
        return features

    def cross_caches(self, features: torch.Tensor) -> dict[str, Array]:
        """Return what the encoder graph should, by the names of its outputs."""
        with torch.inference_mode():
            hidden = self._model.model.encoder(features).last_hidden_state
            caches = {}
            for index, layer in enumerate(self._model.model.decoder.layers):
                attention = layer.encoder_attn
                for part, project in (("key", attention.k_proj), ("value", attention.v_proj)):
                    heads = project(hidden).unflatten(2, (attention.num_heads, attention.head_dim))
                    caches[f"present.{index}.encoder.{part}"] = heads.transpose(1, 2).numpy()
        return caches

    def logits(self, features: torch.Tensor, token_ids: list[int]) -> Array:
        """Return the logits at every position of ``token_ids``, ``(n_tokens, vocab_size)``."""
        with torch.inference_mode():
            found = self._model(features, decoder_input_ids=torch.tensor([token_ids])).logits
        array: Array = found[0].numpy()
        return array
