"""Writes a Whisper checkpoint as whisper.cpp reads it (ggml), so that it has the same weights.

The layout is that of whisper.cpp's own converter, little-endian::

    u32 magic  i32 hyperparameters[11]
    i32 n_mels  i32 n_bins  f32 filters[n_mels, n_bins]
    i32 n_tokens, then each:  i32 n_bytes  bytes
    then each tensor:  i32 rank  i32 len(name)  i32 type  i32 dims[rank], last first  name  data

Matrices are quantized in blocks of 32 along their rows, as its ``quantize`` program does it.
"""

from __future__ import annotations

import json
import struct
from enum import StrEnum
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

from edge_asr.recognizers.features import mel_filters

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

Array = np.ndarray[Any, np.dtype[Any]]

_MAGIC = 0x67676D6C
_QUANTIZED = 2000
"""Added to the file's type: the second version of the block formats."""
_BLOCK = 32
_F32, _F16 = 0, 1
_LAYER_PARTS = {
    "self_attn.q_proj": "attn.query",
    "self_attn.k_proj": "attn.key",
    "self_attn.v_proj": "attn.value",
    "self_attn.out_proj": "attn.out",
    "self_attn_layer_norm": "attn_ln",
    "encoder_attn.q_proj": "cross_attn.query",
    "encoder_attn.k_proj": "cross_attn.key",
    "encoder_attn.v_proj": "cross_attn.value",
    "encoder_attn.out_proj": "cross_attn.out",
    "encoder_attn_layer_norm": "cross_attn_ln",
    "fc1": "mlp.0",
    "fc2": "mlp.2",
    "final_layer_norm": "mlp_ln",
}
_OTHERS = {
    "encoder.embed_positions.weight": "encoder.positional_embedding",
    "decoder.embed_positions.weight": "decoder.positional_embedding",
    "decoder.embed_tokens.weight": "decoder.token_embedding.weight",
    "encoder.layer_norm": "encoder.ln_post",
    "decoder.layer_norm": "decoder.ln",
}


class Format(StrEnum):
    """How matrices are stored."""

    F16 = "f16"
    Q8_0 = "q8_0"
    """Eight bits a weight, one scale a block."""
    Q5_1 = "q5_1"
    """Five bits a weight, a scale and an offset a block."""

    @property
    def tensor_type(self) -> int:
        """The number that ggml has for the tensor type."""
        return {Format.F16: _F16, Format.Q8_0: 8, Format.Q5_1: 7}[self]

    @property
    def file_type(self) -> int:
        """The number that ggml has for the file type."""
        return {Format.F16: 1, Format.Q8_0: _QUANTIZED + 7, Format.Q5_1: _QUANTIZED + 9}[self]


def write_ggml(checkpoint: Path, target: Path, kind: Format) -> None:
    """Write a checkpoint of Transformers' Whisper as one file for whisper.cpp.

    Args:
        checkpoint: folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``.
        target: the file.
        kind: of its matrices.
    """
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    with target.open("wb") as file:
        file.write(struct.pack("<I11i", _MAGIC, *_hyperparameters(config), kind.file_type))
        filters = np.ascontiguousarray(mel_filters(config["num_mel_bins"]).T, dtype="<f4")
        file.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        tokens = _tokens(checkpoint, config["eos_token_id"])
        file.write(struct.pack("<i", len(tokens)))
        for token in tokens:
            file.write(struct.pack("<i", len(token)) + token)
        for name, weights in load_file(checkpoint / "model.safetensors").items():
            if name != "proj_out.weight":  # the same as the embedding
                _write_tensor(file, their_name(name), weights, kind)


def _hyperparameters(config: dict[str, Any]) -> list[int]:
    names = (
        *("vocab_size", "max_source_positions", "d_model", "encoder_attention_heads"),
        *("encoder_layers", "max_target_positions", "d_model", "decoder_attention_heads"),
        *("decoder_layers", "num_mel_bins"),
    )
    return [config[name] for name in names]


def their_name(name: str) -> str:
    """Return whisper.cpp's name of a tensor of Transformers' Whisper."""
    name = name.removeprefix("model.")
    if name in _OTHERS:
        return _OTHERS[name]
    path, _, kind = name.rpartition(".")
    if path in _OTHERS:
        return f"{_OTHERS[path]}.{kind}"
    if ".layers." in path:
        half, _, rest = path.partition(".layers.")
        number, _, part = rest.partition(".")
        return f"{half}.blocks.{number}.{_LAYER_PARTS[part]}.{kind}"
    return name


def _tokens(checkpoint: Path, end_of_text: int) -> list[bytes]:
    """Return the bytes of all tokens that are text."""
    vocab = Tokenizer.from_file(str(checkpoint / "tokenizer.json")).get_vocab()
    texts = {index: token for token, index in vocab.items() if index < end_of_text}
    return [bytes(_byte_of()[letter] for letter in texts[i]) for i in range(end_of_text)]


@cache
def _byte_of() -> dict[str, int]:
    """Return the byte that each letter stands for in GPT-2's vocabulary.

    Printable ones stand for themselves, the others, in order, for letters from 256 on (Radford et
    al., 2019; ``bytes_to_unicode``).
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [each for each in range(256) if each not in set(plain)]
    return {chr(each): each for each in plain} | {chr(256 + n): b for n, b in enumerate(others)}


def _write_tensor(file: BinaryIO, name: str, weights: Array, kind: Format) -> None:
    if name.endswith(("conv1.bias", "conv2.bias")):
        weights = weights[:, np.newaxis]
        number, data = _F32, weights.astype("<f4").tobytes()
    elif weights.ndim == 1 or name.endswith("positional_embedding"):
        number, data = _F32, weights.astype("<f4").tobytes()
    elif weights.ndim == 3 or kind is Format.F16:
        number, data = _F16, weights.astype("<f2").tobytes()
    else:
        pack = {Format.Q8_0: _pack_q8_0, Format.Q5_1: _pack_q5_1}[kind]
        number, data = kind.tensor_type, pack(weights.astype(np.float32).reshape(-1, _BLOCK))
    raw_name = name.encode()
    file.write(struct.pack("<3i", weights.ndim, len(raw_name), number))
    file.write(struct.pack(f"<{weights.ndim}i", *reversed(weights.shape)) + raw_name + data)


def _pack_q8_0(blocks: Array) -> bytes:
    """Return blocks as ``f16 scale, i8 weights[32]``."""
    scale = np.abs(blocks).max(axis=1, keepdims=True) / 127
    rounded = np.rint(blocks * _inverse(scale)).astype("i1")
    return _joined(scale.astype("<f2"), rounded)


def _pack_q5_1(blocks: Array) -> bytes:
    """Return blocks as ``f16 scale, f16 lowest, u32 fifth bits, u8 lower four bits[16]``.

    A byte has the four lower bits of weight i, and those of weight i + 16 above them.
    """
    lowest = blocks.min(axis=1, keepdims=True)
    scale = (blocks.max(axis=1, keepdims=True) - lowest) / 31
    steps = np.clip((blocks - lowest) * _inverse(scale) + 0.5, 0, 31).astype(np.uint8)
    fifth = np.packbits(steps >> 4, axis=1, bitorder="little")
    lower = steps & 15
    half = _BLOCK // 2
    pairs = lower[:, :half] | (lower[:, half:] << 4)
    return _joined(scale.astype("<f2"), lowest.astype("<f2"), fifth, pairs)


def _inverse(scale: Array) -> Array:
    return np.divide(1, scale, out=np.zeros_like(scale), where=scale != 0)


def _joined(*parts: Array) -> bytes:
    """Return the bytes of each block's parts, block after block."""
    rows = [np.ascontiguousarray(part).view(np.uint8).reshape(len(part), -1) for part in parts]
    return np.concatenate(rows, axis=1).tobytes()
