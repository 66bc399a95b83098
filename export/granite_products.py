"""Matrix products as Granite's graphs hold them."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable

_LARGE = 1 << 18
"""Weights of a product that is worth a file: 1 MB in float32."""


class Product(nn.Module):
    """``inputs @ weight + bias``.

    The weight lies as ONNX wants it, ``(n_inputs, n_outputs)``: of a ``torch.nn.Linear`` the
    exporter would make a transposed copy, and hold two of everything.
    """

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight, requires_grad=False)
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return the product, ``(..., n_outputs)``."""
        product = torch.matmul(inputs, self.weight)
        return product if self.bias is None else product + self.bias


def take_product(*layers: nn.Module) -> Product:
    """Return one product that gives what ``layers`` give, side by side.

    One product quantizes its input once, and is one call of a kernel.

    Args:
        layers: ``Linear``, or ``Conv1d`` of kernel size 1, on the same input. Their weights are
            taken away, so that no more than one layer's are in memory twice.
    """
    weight = torch.cat([layer.weight.detach().flatten(1).T for layer in layers], dim=1)
    biases = [layer.bias for layer in layers]
    bias = None if biases[0] is None else torch.cat([each.detach() for each in biases])
    release(layers)
    return Product(weight.contiguous(), bias)


def release(layers: Iterable[nn.Module]) -> None:
    """Give the memory of the layers' weights back."""
    for layer in layers:
        layer.weight = nn.Parameter(torch.empty(0), requires_grad=False)


def move_to_disk(module: nn.Module, directory: Path) -> None:
    """Let the module's large weights live in files that are mapped, not in memory.

    The system may then drop them from memory and read them again, which matters when Optimum
    gathers the weights of a graph beyond 2 GB: otherwise everything would be in memory twice.

    Args:
        module: a graph; it works as before.
        directory: where there is room for its weights in float32. The files have no names and are
            gone when the module is.
    """
    with TemporaryDirectory(dir=directory) as files, torch.no_grad():
        for number, weight in enumerate(module.parameters()):
            if weight.numel() < _LARGE:
                continue
            path = str(Path(files) / str(number))
            mapped = torch.from_file(path, shared=True, size=weight.numel(), dtype=weight.dtype)
            mapped = mapped.view(weight.shape)
            mapped.copy_(weight)
            weight.data = mapped
