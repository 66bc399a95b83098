"""What Whisper's encoder and decoder have in common, over Transformers' own weights."""

from __future__ import annotations

import torch
from torch import nn


class FeedForward(nn.Module):
    """The wide half of a layer, with its norm and its way around."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.norm = layer.final_layer_norm
        self.up, self.down = layer.fc1, layer.fc2

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return ``hidden`` with what the layer adds to it."""
        widened = nn.functional.gelu(self.up(self.norm(hidden)))
        return hidden + self.down(widened)


def join(*projections: nn.Linear, scales: tuple[float, ...] = ()) -> nn.Linear:
    """Return one projection that gives what several give, side by side.

    One product is one quantization of its input and one kernel call.

    Args:
        projections: of the same input; keys have no bias in Whisper.
        scales: what each result is multiplied by, 1 by default. Whisper's heads are 64 wide: their
            scale is a power of two, and exact.
    """
    factors = scales or (1.0,) * len(projections)
    weights = [each.weight * scale for each, scale in zip(projections, factors, strict=True)]
    biases = [
        torch.zeros(each.out_features) if each.bias is None else each.bias * scale
        for each, scale in zip(projections, factors, strict=True)
    ]
    weight = torch.cat(weights).detach()
    joined = nn.Linear(weight.shape[1], weight.shape[0])
    joined.weight = nn.Parameter(weight, requires_grad=False)
    joined.bias = nn.Parameter(torch.cat(biases).detach(), requires_grad=False)
    return joined
