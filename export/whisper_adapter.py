"""A low-rank adapter: a few trained numbers that are added to a Whisper's weights at export.

Each linear layer gets a product of two thin matrices (Hu et al., 2021, arXiv 2106.09685), each norm
a change of its own. Both are stored in float16, in one safetensors file that lies beside the
recipe; merged, they cost nothing at run time. The token embedding is left as it is.
"""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from export.errors import SourceError
from export.whisper_onnx import load_whisper

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_DOWN, _UP, _CHANGE = ".down", ".up", ".change"


class LowRankLinear(nn.Module):
    """A linear layer and, beside it, the product that is trained. It starts as zero."""

    def __init__(self, layer: nn.Linear, rank: int) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Parameter(torch.empty(rank, layer.in_features))
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))
        nn.init.kaiming_uniform_(self.down, a=5**0.5)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the layer gives with its change, ``(..., out_features)``."""
        changed: torch.Tensor = self.layer(inputs) + (inputs @ self.down.T) @ self.up.T
        return changed


class Adapter:
    """What is trained of a model: thin matrices beside its linear layers, and its norms."""

    def __init__(self, model: nn.Module, rank: int) -> None:
        """Freeze the model and put the trained parts into it.

        Args:
            model: a Transformers Whisper's ``model.model``: encoder and decoder, without the head.
            rank: width of the thin matrices.
        """
        model.requires_grad_(requires_grad=False)
        linears = [(name, each) for name, each in model.named_modules() if _is_linear(each)]
        self._products = {name: LowRankLinear(each, rank) for name, each in linears}
        for name, product in self._products.items():
            model.set_submodule(name, product)
        self._norms = dict(_norm_weights(model))
        self._before = {name: weight.detach().clone() for name, weight in self._norms.items()}
        for weight in self._norms.values():
            weight.requires_grad_(requires_grad=True)

    def parameters(self) -> Iterator[nn.Parameter]:
        """Yield what is trained."""
        for product in self._products.values():
            yield from (product.down, product.up)
        yield from self._norms.values()

    def resume(self, path: Path) -> None:
        """Take the numbers of an adapter that was trained before.

        Args:
            path: the adapter, of the same model and rank.

        Raises:
            SourceError: it cannot be read, or is of another model or rank.
        """
        tensors = _read(path)
        try:
            with torch.no_grad():
                for name, product in self._products.items():
                    product.down.copy_(tensors[name + _DOWN])
                    product.up.copy_(tensors[name + _UP])
                for name, weight in self._norms.items():
                    weight.copy_(self._before[name] + tensors[name + _CHANGE])
        except (KeyError, RuntimeError) as error:
            raise SourceError(f"{path}: an adapter of another model or rank") from error

    def save(self, path: Path, facts: Mapping[str, str]) -> None:
        """Write the adapter, in float16.

        Args:
            path: a ``.safetensors`` file.
            facts: how it was made; kept in the file's header.
        """
        tensors = {}
        for name, product in self._products.items():
            tensors[name + _DOWN], tensors[name + _UP] = product.down, product.up
        for name, weight in self._norms.items():
            tensors[name + _CHANGE] = weight - self._before[name]
        halved = {name: each.detach().half().contiguous() for name, each in tensors.items()}
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(halved, path, metadata=dict(facts))


def merge_adapter(model: nn.Module, path: Path) -> None:
    """Add an adapter to the weights of a model, in place.

    Args:
        model: a Transformers Whisper's ``model.model``.
        path: the adapter.

    Raises:
        SourceError: it cannot be read, or is of another model.
    """
    state = dict(model.named_parameters())
    tensors = _read(path)
    for key, tensor in tensors.items():
        name, _, kind = key.rpartition(".")
        if f".{kind}" == _DOWN:
            continue
        try:
            weight = state[name if f".{kind}" == _CHANGE else f"{name}.weight"]
            change = tensor if f".{kind}" == _CHANGE else tensor @ tensors[name + _DOWN]
            with torch.no_grad():
                weight += change
        except (KeyError, RuntimeError) as error:
            raise SourceError(f"{path}: an adapter for another model: {key}") from error


def write_adapted(checkpoint: Path, adapter: Path, target: Path) -> None:
    """Write a Transformers checkpoint with an adapter merged into it.

    Args:
        checkpoint: folder of the published weights.
        adapter: the adapter.
        target: folder to write to, which exists.

    Raises:
        SourceError: the adapter cannot be read, or is of another model.
    """
    model = load_whisper(checkpoint)
    merge_adapter(model.model, adapter)
    for path in checkpoint.glob("*.json"):
        shutil.copyfile(path, target / path.name)
    model.save_pretrained(target)


def _read(path: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name).float() for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise SourceError(f"{path}: no adapter can be read from it ({error})") from error


def _is_linear(module: nn.Module) -> bool:
    return isinstance(module, nn.Linear)


def _norm_weights(model: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    for name, module in model.named_modules():
        if isinstance(module, nn.LayerNorm):
            yield f"{name}.weight", module.weight
            yield f"{name}.bias", module.bias
