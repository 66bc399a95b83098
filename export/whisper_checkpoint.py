"""CTranslate2's Whisper -> a Transformers checkpoint. Every weight is carried over bit for bit.

The two differ in names, and in what CTranslate2 fuses: the query, key and value projections of
self-attention are one matrix, the key and value projections of cross-attention another. Keys have
no bias in Whisper; CTranslate2 stores zeros for it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from export.ctranslate2 import read_model
from export.errors import SourceError
from export.whisper_tokens import generation_settings, is_multilingual, mended, read_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from export.ctranslate2 import Array, ModelFile

_GELU = 3
"""CTranslate2's ``ActivationType`` for the exact GELU that Whisper uses."""


@dataclass(frozen=True, slots=True)
class Dimensions:
    """The size of a Whisper model, as its tensors say."""

    n_mels: int
    width: int
    """d_model."""
    ffn_width: int
    n_heads: int
    n_encoder_layers: int
    n_decoder_layers: int
    vocab_size: int
    n_audio_ctx: int
    n_text_ctx: int


def convert_ctranslate2(source: Path, checkpoint: Path) -> None:
    """Write the Transformers checkpoint of the CTranslate2 model in ``source``.

    Args:
        source: folder with ``model.bin``, ``config.json`` and ``tokenizer.json``.
        checkpoint: folder to write, which exists.

    Raises:
        SourceError: the model is damaged, or no Whisper.
    """
    import torch
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    model_file = read_model(source / "model.bin")
    try:
        size = dimensions(model_file)
        state = {name: torch.tensor(value) for name, value in _state(model_file, size)}
    except KeyError as error:
        raise SourceError(f"{source}: this Whisper has no tensor {error}") from error
    tokens = read_tokens(source / "tokenizer.json")
    model = WhisperForConditionalGeneration(
        WhisperConfig(**_config(size), **tokens.config_ids()),
    ).half()
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        raise SourceError(f"{source}: its tensors do not make a Whisper: {error}") from error
    ctranslate2_config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    model.generation_config = GenerationConfig(
        **generation_settings(
            tokens,
            multilingual=is_multilingual(size.vocab_size),
            n_text_ctx=size.n_text_ctx,
            suppress=ctranslate2_config["suppress_ids"],
            begin_suppress=ctranslate2_config["suppress_ids_begin"],
            alignment_heads=ctranslate2_config["alignment_heads"],
        ),
    )
    model.save_pretrained(checkpoint, safe_serialization=True)
    tokenizer = (source / "tokenizer.json").read_text(encoding="utf-8")
    (checkpoint / "tokenizer.json").write_text(mended(tokenizer), encoding="utf-8")


def dimensions(model_file: ModelFile) -> Dimensions:
    """Derive the model's size from its tensors.

    Raises:
        SourceError: it is not a Whisper as published.
        KeyError: a tensor is missing.
    """
    if model_file.spec != "WhisperSpec":
        raise SourceError(f"the model.bin holds a {model_file.spec}, not a Whisper")
    tensors = model_file.tensors
    if int(tensors.get("decoder/activation", np.int8(_GELU))) != _GELU:
        raise SourceError("the model.bin holds a Whisper with another activation than GELU")
    vocab_size, width = tensors["decoder/embeddings/weight"].shape
    return Dimensions(
        n_mels=tensors["encoder/conv1/weight"].shape[1],
        width=width,
        ffn_width=tensors["decoder/layer_0/ffn/linear_0/weight"].shape[0],
        n_heads=int(tensors["decoder/num_heads"]),
        n_encoder_layers=_n_layers(tensors, "encoder"),
        n_decoder_layers=_n_layers(tensors, "decoder"),
        vocab_size=vocab_size,
        n_audio_ctx=tensors["encoder/position_encodings/encodings"].shape[0],
        n_text_ctx=tensors["decoder/position_encodings/encodings"].shape[0],
    )


def _n_layers(tensors: dict[str, Array], side: str) -> int:
    count = 0
    while f"{side}/layer_{count}/ffn/linear_0/weight" in tensors:
        count += 1
    return count


def _config(size: Dimensions) -> dict[str, Any]:
    return {
        "vocab_size": size.vocab_size,
        "num_mel_bins": size.n_mels,
        "d_model": size.width,
        "encoder_layers": size.n_encoder_layers,
        "decoder_layers": size.n_decoder_layers,
        "encoder_attention_heads": size.n_heads,
        "decoder_attention_heads": size.n_heads,
        "encoder_ffn_dim": size.ffn_width,
        "decoder_ffn_dim": size.ffn_width,
        "max_source_positions": size.n_audio_ctx,
        "max_target_positions": size.n_text_ctx,
    }


Named = tuple[str, "Array"]


def _state(model_file: ModelFile, size: Dimensions) -> Iterator[Named]:
    """Yield every weight under Transformers' name."""
    tensors = model_file.tensors
    for conv in ("conv1", "conv2"):
        yield from _affine(tensors, f"encoder/{conv}", f"model.encoder.{conv}")
    yield "model.decoder.embed_tokens.weight", tensors["decoder/embeddings/weight"]
    yield "proj_out.weight", tensors["decoder/projection/weight"]
    for side, n_layers in (("encoder", size.n_encoder_layers), ("decoder", size.n_decoder_layers)):
        positions = tensors[f"{side}/position_encodings/encodings"]
        yield f"model.{side}.embed_positions.weight", positions
        yield from _norm(tensors, f"{side}/layer_norm", f"model.{side}.layer_norm")
        for index in range(n_layers):
            yield from _layer(tensors, f"{side}/layer_{index}", f"model.{side}.layers.{index}")


def _layer(tensors: dict[str, Array], theirs: str, ours: str) -> Iterator[Named]:
    yield from _norm(tensors, f"{theirs}/self_attention/layer_norm", f"{ours}.self_attn_layer_norm")
    yield from _fused(tensors, f"{theirs}/self_attention/linear_0", f"{ours}.self_attn", "qkv")
    yield from _affine(tensors, f"{theirs}/self_attention/linear_1", f"{ours}.self_attn.out_proj")
    if f"{theirs}/attention/linear_0/weight" in tensors:
        norm = f"{ours}.encoder_attn_layer_norm"
        yield from _norm(tensors, f"{theirs}/attention/layer_norm", norm)
        yield from _affine(tensors, f"{theirs}/attention/linear_0", f"{ours}.encoder_attn.q_proj")
        yield from _fused(tensors, f"{theirs}/attention/linear_1", f"{ours}.encoder_attn", "kv")
        yield from _affine(tensors, f"{theirs}/attention/linear_2", f"{ours}.encoder_attn.out_proj")
    yield from _norm(tensors, f"{theirs}/ffn/layer_norm", f"{ours}.final_layer_norm")
    yield from _affine(tensors, f"{theirs}/ffn/linear_0", f"{ours}.fc1")
    yield from _affine(tensors, f"{theirs}/ffn/linear_1", f"{ours}.fc2")


def _affine(tensors: dict[str, Array], theirs: str, ours: str) -> Iterator[Named]:
    yield f"{ours}.weight", tensors[f"{theirs}/weight"]
    yield f"{ours}.bias", tensors[f"{theirs}/bias"]


def _norm(tensors: dict[str, Array], theirs: str, ours: str) -> Iterator[Named]:
    yield f"{ours}.weight", tensors[f"{theirs}/gamma"]
    yield f"{ours}.bias", tensors[f"{theirs}/beta"]


def _fused(tensors: dict[str, Array], theirs: str, ours: str, parts: str) -> Iterator[Named]:
    """Split a fused projection into ``parts``, one letter each."""
    weight, bias = tensors[f"{theirs}/weight"], tensors[f"{theirs}/bias"]
    if weight.shape[0] % len(parts) or len(bias) != len(weight):
        raise SourceError(f"{theirs}: cannot be split into {len(parts)} projections")
    pieces = zip(np.split(weight, len(parts)), np.split(bias, len(parts)), strict=True)
    for part, (rows, offsets) in zip(parts, pieces, strict=True):
        yield f"{ours}.{part}_proj.weight", rows
        if part != "k":
            yield f"{ours}.{part}_proj.bias", offsets
        elif offsets.any():
            raise SourceError(f"{theirs}: its keys have a bias, which Whisper has not")
