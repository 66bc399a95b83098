"""A LoRA adapter beside a Granite checkpoint: what makes its language model understand speech.

Granite Speech 3.3 is an instruct model, unchanged, with an adapter that is on only while the model
hears sound. To each product that it adapts, it adds one of low rank (Hu et al., 2021, equation 3)::

    weight + scale * B @ A          scale = lora_alpha / r; with rsLoRA, lora_alpha / sqrt(r)

Here the sum is made once, matrix by matrix while the weights are read: the graphs have no adapter,
and nothing is in memory twice. The files are PEFT's: ``adapter_config.json`` says how, and
``adapter_model.safetensors`` has A ``(r, n_inputs)`` and B ``(n_outputs, r)`` of every product.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from export.errors import SourceError

if TYPE_CHECKING:
    from pathlib import Path

    import torch

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
"""What PEFT puts before the name of a module."""
_DOWN, _UP = ".lora_A.weight", ".lora_B.weight"
_PLAIN = {
    "bias": "none",
    "fan_in_fan_out": False,
    "lora_bias": False,
    "modules_to_save": None,
    "peft_type": "LORA",
    "rank_pattern": {},
    "alpha_pattern": {},
    "trainable_token_indices": None,
    "use_dora": False,
}
"""Settings that make an adapter more than the sum above; with these values, it is no more."""


@dataclass(frozen=True, slots=True)
class Adapter:
    """An adapter's files, checked; its weights are read when they are needed."""

    path: Path
    names: dict[str, str]
    """Name of a weight of the model -> what its two matrices' names begin with."""
    scale: float

    def merged(self, name: str, weight: torch.Tensor) -> torch.Tensor:
        """Return a weight with what the adapter adds to it; others are returned as they are.

        Args:
            name: of the weight in the model.
            weight: ``(n_outputs, n_inputs)``.

        Raises:
            SourceError: the adapter was made for weights of another size.
        """
        if name not in self.names:
            return weight
        with _open(self.path) as tensors:
            down = tensors.get_tensor(self.names[name] + _DOWN).to(weight.dtype)
            up = tensors.get_tensor(self.names[name] + _UP).to(weight.dtype)
        if (*up.shape[:1], *down.shape[1:]) != tuple(weight.shape):
            raise SourceError(
                f"{self.path}: it does not fit {name}; the files are not of one model"
            )
        return weight.addmm(up, down, alpha=self.scale)

    def check_all_merged(self, names: set[str]) -> None:
        """Check that every product that the adapter adapts was among the weights.

        Raises:
            SourceError: one was not: speech would be understood badly, without a word of warning.
        """
        if left := sorted(self.names.keys() - names):
            raise SourceError(
                f"{self.path}: it adapts {left[0]}, which the checkpoint does not have; "
                "the files are not of one model",
            )


def read_adapter(checkpoint: Path) -> Adapter:
    """Return the adapter beside a checkpoint's weights.

    Raises:
        SourceError: it is missing, damaged, or more than a plain LoRA.
    """
    config = _read_config(checkpoint / ADAPTER_CONFIG)
    path = checkpoint / ADAPTER_WEIGHTS
    with _open(path) as tensors:
        stored = set(tensors.keys())
        names = {_weight_name(key): key.removesuffix(_DOWN) for key in stored if _DOWN in key}
        ranks = {tensors.get_slice(base + _DOWN).get_shape()[0] for base in names.values()}
    foreign = stored - {base + part for base in names.values() for part in (_DOWN, _UP)}
    missing = {base + _UP for base in names.values()} - stored
    if not names or foreign or missing:
        said = min(foreign | missing, default="its matrices")
        raise SourceError(f"{path}: not the weights of a plain LoRA adapter ({said})")
    if ranks != {config["r"]}:
        raise SourceError(
            f"{path}: it has the ranks {sorted(ranks)}, its config says {config['r']}"
        )
    _check_targets(path, names, config["target_modules"])
    root = config["r"] ** 0.5 if config.get("use_rslora") else config["r"]
    return Adapter(path, names, config["lora_alpha"] / root)


def _read_config(path: Path) -> dict[str, Any]:
    try:
        config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{path}: cannot be read ({error}); the model's weights for speech are an adapter, "
            f"download {ADAPTER_CONFIG} and {ADAPTER_WEIGHTS} too",
        ) from error
    for key, plain in _PLAIN.items():
        if config.get(key, plain) not in (plain, None):
            raise SourceError(f"{path}: {key} is {config[key]!r}; only a plain LoRA can be merged")
    if missing := sorted({"r", "lora_alpha", "target_modules"} - config.keys()):
        raise SourceError(f"{path}: it does not say {missing[0]}; download it again")
    return config


def _weight_name(key: str) -> str:
    """Return the name of the weight that a matrix of the adapter belongs to."""
    return key.removeprefix(_PREFIX).removesuffix(_DOWN) + ".weight"


def _check_targets(path: Path, names: dict[str, str], targets: list[str] | str) -> None:
    """Check that the adapter's weights are of the modules that its config names, and of all.

    PEFT also takes one regular expression in place of a list; then there is nothing to compare.
    """
    if isinstance(targets, str):
        return
    found = {target for target in targets for name in names if f".{target}." in f".{name}"}
    if foreign := [name for name in names if not any(f".{each}." in f".{name}" for each in found)]:
        raise SourceError(f"{path}: it adapts {foreign[0]}, which its config does not name")
    if unmet := sorted(set(targets) - found):
        raise SourceError(f"{path}: it has no weights for {unmet[0]}, which its config names")


def _open(path: Path) -> Any:  # noqa: ANN401 (the library is untyped)
    try:
        return safe_open(path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise SourceError(f"{path}: cannot be read ({error}); download it again") from error
