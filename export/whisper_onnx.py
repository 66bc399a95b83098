"""Optimum's exporter, told how Whisper's two graphs look."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from optimum.exporters.onnx import onnx_export_from_model
from optimum.exporters.onnx.base import OnnxConfig
from optimum.utils import NormalizedConfig
from transformers import WhisperForConditionalGeneration

from edge_asr.recognizers.whisper_bundle import DECODER, ENCODER
from export.errors import ExportError
from export.one_sound import share_sound
from export.optimum_log import collected_complaints
from export.whisper_decoder import WhisperDecoderGraph
from export.whisper_encoder import WhisperEncoderGraph

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import WhisperConfig

OPSET = 18
_ENCODER_KEY = ENCODER.removesuffix(".onnx")
_DECODER_KEY = DECODER.removesuffix(".onnx")
_TRACED_BATCH, _TRACED_FRAMES, _TRACED_POSITIONS, _TRACED_PAST, _TRACED_TOKENS = 2, 300, 9, 5, 3
"""No dimension of the traced example equals another, so that one mistaken for another shows."""

Axes = dict[str, dict[int, str]]


def export_graphs(checkpoint: Path, directory: Path) -> None:
    """Export the float graphs of a Transformers Whisper checkpoint through Optimum.

    Optimum validates each graph against torch on random inputs. Then the decoder is
    told that several texts may be of one sound.

    Raises:
        ExportError: Optimum fails, or its validation does.
    """
    with collected_complaints() as complaints:
        model = load_whisper(checkpoint)
        # Optimum ignores custom submodels for architectures it knows; under a name that it does not
        # know, it exports what it is given.
        model.config.export_model_type = "whisper-cross-cache"
        onnx_export_from_model(
            model,
            directory,
            task="automatic-speech-recognition",
            opset=OPSET,
            no_post_process=True,
            custom_onnx_configs={
                _ENCODER_KEY: _EncoderOnnxConfig(model.config),
                _DECODER_KEY: _DecoderOnnxConfig(model.config),
            },
            fn_get_submodels=_submodels,
        )
    if complaints:
        raise ExportError(f"Optimum's validation of {directory.name} failed: {complaints[0]}")
    share_sound(directory / DECODER)


def load_whisper(checkpoint: Path) -> WhisperForConditionalGeneration:
    """Load a Transformers Whisper checkpoint from a folder, in float32."""
    model = WhisperForConditionalGeneration.from_pretrained(
        checkpoint,
        dtype=torch.float32,
        attn_implementation="sdpa",
        local_files_only=True,
    )
    return model.eval()


def _submodels(model: WhisperForConditionalGeneration) -> dict[str, torch.nn.Module]:
    return {
        _ENCODER_KEY: WhisperEncoderGraph(model).eval(),
        _DECODER_KEY: WhisperDecoderGraph(model).eval(),
    }


class _WhisperOnnxConfig(OnnxConfig):
    """What both graphs share."""

    NORMALIZED_CONFIG_CLASS = NormalizedConfig
    ATOL_FOR_VALIDATION = 1e-3

    def __init__(self, config: WhisperConfig) -> None:
        super().__init__(config, task="automatic-speech-recognition")

    def ordered_inputs(self, _model: torch.nn.Module) -> Axes:
        """Return the inputs in the order in which ``forward`` takes them."""
        inputs: Axes = self.inputs
        return inputs

    @property
    def _n_layers(self) -> int:
        return int(self._config.decoder_layers)

    def _random_cache(self, n_positions: int) -> torch.Tensor:
        n_heads = self._config.decoder_attention_heads
        head_dim = self._config.d_model // n_heads
        return torch.randn(_TRACED_BATCH, n_heads, n_positions, head_dim)


class _EncoderOnnxConfig(_WhisperOnnxConfig):
    @property
    def inputs(self) -> Axes:
        return {"input_features": {0: "batch_size", 2: "n_frames"}}

    @property
    def outputs(self) -> Axes:
        return _caches(self._n_layers, "present", {"encoder": "n_audio_ctx"})

    def generate_dummy_inputs(self, **_shapes: object) -> dict[str, torch.Tensor]:
        n_mels = self._config.num_mel_bins
        return {"input_features": torch.randn(_TRACED_BATCH, n_mels, _TRACED_FRAMES)}

    @classmethod
    def flatten_output_collection_property(cls, name: str, field: Any) -> dict[str, Any]:  # noqa: ANN401
        return _flattened(name, field, ("encoder.key", "encoder.value"))


class _DecoderOnnxConfig(_WhisperOnnxConfig):
    @property
    def inputs(self) -> Axes:
        tokens = {0: "batch_size", 1: "n_tokens"}
        past = {"decoder": "n_positions", "encoder": "n_audio_ctx"}
        asked: Axes = {"input_ids": tokens, "position_ids": tokens, "logit_bias": {}}
        return asked | _caches(self._n_layers, "past_key_values", past)

    @property
    def outputs(self) -> Axes:
        tokens = {0: "batch_size", 1: "n_tokens"}
        found = {"best_ids": tokens, "best_logprobs": tokens, "logits": tokens}
        found |= _caches(self._n_layers, "present", {"decoder": "n_positions"})
        return found | {f"cross_queries.{layer}": tokens for layer in range(self._n_layers)}

    def generate_dummy_inputs(self, **_shapes: object) -> dict[str, Any]:
        shape = (_TRACED_BATCH, _TRACED_TOKENS)
        positions = torch.arange(_TRACED_PAST, _TRACED_PAST + _TRACED_TOKENS).expand(shape)
        lengths = (_TRACED_POSITIONS,) * 2 + (_TRACED_FRAMES // 2,) * 2
        return {
            "input_ids": torch.randint(self._config.vocab_size, shape),
            "position_ids": positions.contiguous(),
            "logit_bias": torch.randn(self._config.vocab_size),
            "past": tuple(
                tuple(self._random_cache(length) for length in lengths)
                for _ in range(self._n_layers)
            ),
        }

    @classmethod
    def flatten_output_collection_property(cls, name: str, field: Any) -> dict[str, Any]:  # noqa: ANN401
        if name == "past":
            kinds = ("decoder.key", "decoder.value", "encoder.key", "encoder.value")
            return _flattened("past_key_values", field, kinds)
        if name == "cross_queries":
            return {f"{name}.{layer}": query for layer, query in enumerate(field)}
        return _flattened(name, field, ("decoder.key", "decoder.value"))


def _caches(n_layers: int, prefix: str, lengths: dict[str, str]) -> Axes:
    """Return the dynamic axes of caches; ``lengths`` names the positions axis of each kind."""
    return {
        f"{prefix}.{layer}.{kind}.{part}": {0: "batch_size", 2: length}
        for layer in range(n_layers)
        for kind, length in lengths.items()
        for part in ("key", "value")
    }


def _flattened(prefix: str, layers: Any, kinds: tuple[str, ...]) -> dict[str, Any]:  # noqa: ANN401
    return {
        f"{prefix}.{index}.{kind}": tensor
        for index, layer in enumerate(layers)
        for kind, tensor in zip(kinds, layer, strict=True)
    }
