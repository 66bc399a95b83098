"""Optimum's exporter, told how Granite's two graphs look."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import torch
from optimum.exporters.onnx import onnx_export_from_model
from optimum.exporters.onnx.base import OnnxConfig
from optimum.utils import NormalizedConfig

from export.errors import ExportError
from export.granite_checkpoint import Part, load_part
from export.granite_decoder import GraniteDecoderGraph
from export.granite_encoder import GraniteEncoderGraph
from export.granite_manifest import DECODER, ENCODER
from export.granite_products import move_to_disk
from export.optimum_log import collected_complaints

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import GraniteSpeechConfig, GraniteSpeechForConditionalGeneration

OPSET = 18
_TRACED_BATCH, _TRACED_FRAMES, _TRACED_POSITIONS = 2, 433, 23
_TRACED_PAST, _TRACED_TOKENS, _TRACED_KEPT = 7, 5, 3
"""No dimension of the traced example equals another, so that one mistaken for another shows."""

Axes = dict[str, dict[int, str]]
_ROWS = {0: "batch_size", 1: "n_logits"}


def export_graphs(checkpoint: Path, directory: Path) -> None:
    """Export the float graphs of a Granite Speech checkpoint through Optimum, one after the other.

    Optimum validates each graph against torch on random inputs.

    Raises:
        SourceError: the checkpoint is none, is damaged, or lacks weights.
        ExportError: Optimum fails, or its validation does.
    """
    for name, part in ((ENCODER, Part.ENCODER), (DECODER, Part.DECODER)):
        _export(checkpoint, directory, name, part)
        gc.collect()  # the exporter leaves cycles that hold the weights


def _export(checkpoint: Path, directory: Path, name: str, part: Part) -> None:
    model = load_part(checkpoint, part)
    key = name.removesuffix(".onnx")
    config = _EncoderOnnxConfig if part is Part.ENCODER else _DecoderOnnxConfig

    def submodels(
        model: GraniteSpeechForConditionalGeneration,
    ) -> dict[str, torch.nn.Module]:
        graph = (
            GraniteEncoderGraph(model)
            if part is Part.ENCODER
            else GraniteDecoderGraph(model.language_model)
        )
        move_to_disk(graph, directory)
        return {key: graph.eval()}

    with collected_complaints() as complaints:
        onnx_export_from_model(
            model,
            directory,
            task="automatic-speech-recognition",
            opset=OPSET,
            no_post_process=True,
            custom_onnx_configs={key: config(model.config)},
            fn_get_submodels=submodels,
        )
    if complaints:
        raise ExportError(f"Optimum's validation of {name} failed: {complaints[0]}")


class _GraniteOnnxConfig(OnnxConfig):
    """What both graphs share."""

    NORMALIZED_CONFIG_CLASS = NormalizedConfig
    ATOL_FOR_VALIDATION = 1e-3

    def __init__(self, config: GraniteSpeechConfig) -> None:
        super().__init__(config, task="automatic-speech-recognition")

    def ordered_inputs(self, _model: torch.nn.Module) -> Axes:
        """Return the inputs in the order in which ``forward`` takes them."""
        inputs: Axes = self.inputs
        return inputs


class _EncoderOnnxConfig(_GraniteOnnxConfig):
    @property
    def inputs(self) -> Axes:
        frames = {0: "batch_size", 1: "n_frames"}
        return {"input_features": frames, "frame_lengths": {0: "batch_size"}}

    @property
    def outputs(self) -> Axes:
        return {
            "audio_features": {0: "batch_size", 1: "n_audio_tokens"},
            "ctc_logits": {0: "batch_size", 1: "n_frames"},
        }

    def generate_dummy_inputs(self, **_shapes: object) -> dict[str, torch.Tensor]:
        width = self._config.encoder_config.input_dim
        return {
            "input_features": torch.randn(_TRACED_BATCH, _TRACED_FRAMES, width),
            "frame_lengths": torch.tensor([_TRACED_FRAMES, _TRACED_FRAMES // 2]),
        }


class _DecoderOnnxConfig(_GraniteOnnxConfig):
    @property
    def inputs(self) -> Axes:
        tokens = {0: "batch_size", 1: "n_tokens"}
        own: Axes = {"inputs_embeds": tokens, "position_ids": tokens, "num_logits_to_keep": {}}
        return own | {"asked_ids": _ROWS} | self._caches("past_key_values")

    @property
    def outputs(self) -> Axes:
        names = ("best_ids", "best_logprobs", "asked_logprobs", "logits")
        return dict.fromkeys(names, _ROWS) | self._caches("present")

    def generate_dummy_inputs(self, **_shapes: object) -> dict[str, Any]:
        text = self._config.text_config
        head_dim = getattr(text, "head_dim", text.hidden_size // text.num_attention_heads)
        positions = torch.arange(_TRACED_PAST, _TRACED_PAST + _TRACED_TOKENS)
        cache = (_TRACED_BATCH, text.num_key_value_heads, _TRACED_POSITIONS, head_dim)
        return {
            "inputs_embeds": torch.randn(_TRACED_BATCH, _TRACED_TOKENS, text.hidden_size) / 12,
            "position_ids": positions.expand(_TRACED_BATCH, -1),
            "num_logits_to_keep": torch.tensor(_TRACED_KEPT),
            "asked_ids": torch.arange(_TRACED_BATCH * _TRACED_KEPT).reshape(_TRACED_BATCH, -1),
            "past": tuple(
                (torch.randn(cache), torch.randn(cache)) for _ in range(text.num_hidden_layers)
            ),
        }

    def _caches(self, prefix: str) -> Axes:
        return {
            f"{prefix}.{layer}.{part}": {0: "batch_size", 2: "n_positions"}
            for layer in range(self._config.text_config.num_hidden_layers)
            for part in ("key", "value")
        }

    @classmethod
    def flatten_output_collection_property(cls, name: str, field: Any) -> dict[str, Any]:  # noqa: ANN401
        prefix = "past_key_values" if name == "past" else name
        return {
            f"{prefix}.{index}.{part}": tensor
            for index, layer in enumerate(field)
            for part, tensor in zip(("key", "value"), layer, strict=True)
        }
