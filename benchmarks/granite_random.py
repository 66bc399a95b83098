"""``python -m benchmarks.granite_random DIR``: a full-size Granite Speech of random numbers.

Its shape, names, types and size in bytes are those of the real checkpoint; its weights mean
nothing. What depends on shapes alone (how long, how much memory, whether an export comes through)
is the same as with the real one. Weights are drawn so that activations stay near 1 through all
layers: with wilder ones, quantization and half precision would be measured in a state that no
trained model is in.

One tensor is in memory at a time, and one file's worth of them on its way to the disk.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import torch
from safetensors.torch import save_file
from transformers import (
    GenerationConfig,
    GraniteSpeechConfig,
    GraniteSpeechForConditionalGeneration,
)

from benchmarks.granite_tokenizer import write_tokenizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

FULL_TENSORS = 954
FULL_BYTES = 4_626_414_392
"""What the real checkpoint has, in bfloat16."""
_N_TOKENS = 100_353
_N_SPECIAL = 97
"""Special tokens at the vocabulary's end: ids 100256 (padding) to 100352 (audio)."""
_LOGIT_SPREAD = 4.0
"""Standard deviation of the logits, about that of a trained model's."""


def full_config(*, n_encoder_layers: int = 16, n_decoder_layers: int = 40) -> GraniteSpeechConfig:
    """Return the configuration of granite-4.0-1b-speech, or of one with fewer layers."""
    end_of_text = _N_TOKENS - _N_SPECIAL + 1
    return GraniteSpeechConfig(
        audio_token_index=_N_TOKENS - 1,
        downsample_rate=5,
        window_size=15,
        has_lora_adapter=False,
        initializer_range=0.02,
        tie_word_embeddings=False,
        text_config={
            "model_type": "granite",
            "vocab_size": _N_TOKENS,
            "hidden_size": 2048,
            "intermediate_size": 4096,
            "num_hidden_layers": n_decoder_layers,
            "num_attention_heads": 16,
            "num_key_value_heads": 4,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0,
            "embedding_multiplier": 12.0,
            "logits_scaling": 8.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 1 / 128,
            "tie_word_embeddings": False,
            "bos_token_id": end_of_text,
            "eos_token_id": end_of_text,
            "pad_token_id": end_of_text - 1,
        },
        encoder_config={
            "model_type": "granite_speech_encoder",
            "input_dim": 160,
            "num_layers": n_encoder_layers,
            "hidden_dim": 1024,
            "feedforward_mult": 4,
            "num_heads": 8,
            "dim_head": 128,
            "output_dim": 348,
            "context_size": 200,
            "max_pos_emb": 512,
            "conv_kernel_size": 15,
            "conv_expansion_factor": 2,
            "dropout": 0.1,
        },
        projector_config={
            "model_type": "blip_2_qformer",
            "hidden_size": 1024,
            "encoder_hidden_size": 1024,
            "num_hidden_layers": 2,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
            "hidden_act": "gelu",
            "layer_norm_eps": 1e-12,
            "cross_attention_frequency": 1,
            "use_qformer_text_input": False,
        },
    )


def tensor_shapes(config: GraniteSpeechConfig) -> dict[str, tuple[tuple[int, ...], torch.dtype]]:
    """Return name -> shape and type of every tensor that Transformers keeps in a checkpoint."""
    with torch.device("meta"):
        state = GraniteSpeechForConditionalGeneration(config).state_dict()
    return {
        name: (tuple(each.shape), torch.bfloat16 if each.is_floating_point() else each.dtype)
        for name, each in state.items()
    }


def n_bytes(shapes: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> int:
    """Return how many bytes tensors of these shapes and types have."""
    return sum(torch.Size(shape).numel() * dtype.itemsize for shape, dtype in shapes.values())


def write_checkpoint(
    config: GraniteSpeechConfig,
    directory: Path,
    *,
    seed: int = 7,
    shard_bytes: int = 1 << 30,
) -> int:
    """Write a checkpoint of random weights in bfloat16, and return the bytes of its tensors.

    Args:
        config: its shape.
        directory: is made if it is not there.
        seed: of the weights.
        shard_bytes: one file's tensors have at most so many bytes, or it has one tensor only.

    Raises:
        ValueError: the vocabulary is too small for a tokenizer.
    """
    directory.mkdir(parents=True, exist_ok=True)
    shapes = tensor_shapes(config)
    files = list(_shards(shapes, shard_bytes))
    random = torch.Generator().manual_seed(seed)
    weight_map: dict[str, str] = {}
    for number, names in enumerate(files, start=1):
        file = f"model-{number:05d}-of-{len(files):05d}.safetensors"
        tensors = {name: _draw(name, *shapes[name], config, random) for name in names}
        save_file(tensors, directory / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(names, file)
    total = n_bytes(shapes)
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (directory / "model.safetensors.index.json").write_text(json.dumps(index), encoding="utf-8")
    _write_rest(config, directory)
    return total


def _shards(
    shapes: Mapping[str, tuple[tuple[int, ...], torch.dtype]], shard_bytes: int
) -> Iterator[list[str]]:
    """Yield the names of each file's tensors."""
    names: list[str] = []
    size = 0
    for name, shape in shapes.items():
        added = n_bytes({name: shape})
        if names and size + added > shard_bytes:
            yield names
            names, size = [], 0
        names.append(name)
        size += added
    yield names


def _write_rest(config: GraniteSpeechConfig, directory: Path) -> None:
    text = config.text_config
    config.architectures = ["GraniteSpeechForConditionalGeneration"]
    text.architectures = ["GraniteForCausalLM"]
    config.dtype = torch.bfloat16
    config.save_pretrained(directory)
    GenerationConfig(
        bos_token_id=text.bos_token_id,
        eos_token_id=text.eos_token_id,
        pad_token_id=text.pad_token_id,
    ).save_pretrained(directory)
    n_special = text.vocab_size - text.pad_token_id
    write_tokenizer(directory / "tokenizer.json", n_tokens=text.vocab_size, n_special=n_special)
    settings: dict[str, Any] = {
        "tokenizer_class": "GPT2Tokenizer",
        "model_max_length": text.max_position_embeddings,
        "bos_token": "<|end_of_text|>",
        "eos_token": "<|end_of_text|>",
        "pad_token": "<|pad|>",
        "unk_token": "<|end_of_text|>",
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")


def _draw(
    name: str,
    shape: tuple[int, ...],
    dtype: torch.dtype,
    config: GraniteSpeechConfig,
    random: torch.Generator,
) -> Tensor:
    """Draw a tensor under which every part of the model shows in what comes out."""
    if not dtype.is_floating_point:
        return torch.zeros(shape, dtype=dtype)
    noise = torch.empty(shape, dtype=torch.float32).normal_(generator=random)
    return _scale(name, noise, config).to(dtype)


def _scale(name: str, noise: Tensor, config: GraniteSpeechConfig) -> Tensor:
    text = config.text_config
    if name.endswith("running_var"):
        return noise.abs_().add_(0.5)
    if noise.ndim == 1:
        is_scale = "norm" in name.lower() and name.endswith("weight")
        return noise.mul_(0.2).add_(1.0 if is_scale else 0.0)
    if name.endswith("embed_tokens.weight"):
        return noise.div_(text.embedding_multiplier)
    if name.endswith("lm_head.weight"):
        return noise.mul_(_LOGIT_SPREAD * text.logits_scaling / text.hidden_size**0.5)
    if name.endswith(("rel_pos_emb.weight", "projector.query")):
        return noise
    noise.div_(noise[0].numel() ** 0.5)
    is_last = name.endswith("projector.linear.weight")
    return noise.div_(text.embedding_multiplier) if is_last else noise


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@click.option("--encoder-layers", default=16, show_default=True, help="Fewer are quicker to try.")
@click.option("--decoder-layers", default=40, show_default=True)
@click.option("--seed", default=7, show_default=True)
def main(directory: Path, encoder_layers: int, decoder_layers: int, seed: int) -> None:
    """Write a Granite Speech checkpoint of random weights to DIRECTORY.

    \b
    python -m benchmarks.granite_random /tmp/granite
    python -m benchmarks.granite_random /tmp/small --encoder-layers 2 --decoder-layers 2
    """
    config = full_config(n_encoder_layers=encoder_layers, n_decoder_layers=decoder_layers)
    shapes = tensor_shapes(config)
    found = (len(shapes), n_bytes(shapes))
    is_full = (encoder_layers, decoder_layers) == (16, 40)
    if is_full and found != (FULL_TENSORS, FULL_BYTES):
        raise click.ClickException(
            f"this Transformers makes {found[0]} tensors of {found[1]:,} bytes, the real "
            f"checkpoint has {FULL_TENSORS} of {FULL_BYTES:,}; install what pyproject.toml pins",
        )
    total = write_checkpoint(config, directory, seed=seed)
    click.echo(f"{directory}: {len(shapes)} tensors, {total:,} bytes in bfloat16")


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.granite_random")
