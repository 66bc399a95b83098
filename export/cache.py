"""Caches that a graph fills in place: a fixed number of positions, rows written where they belong.

A runtime that is given the same memory for what goes in and what comes out copies nothing, taking
tokens back is counting back, and a token's sums run over the same number of keys whether it is fed
alone or with others (docs/decisions/0008-granite-cache.md).
"""

from __future__ import annotations

import torch


def cache_places(position_ids: torch.Tensor, n_heads: int) -> torch.Tensor:
    """Return where keys and values go: clip, head, position, ``(batch, n_heads, n_tokens, 3)``.

    They are the same for every layer.
    """
    shape = (position_ids.shape[0], n_heads, position_ids.shape[1])
    clips = torch.arange(shape[0]).reshape(-1, 1, 1).expand(shape)
    heads = torch.arange(n_heads).reshape(1, -1, 1).expand(shape)
    return torch.stack([clips, heads, position_ids.unsqueeze(1).expand(shape)], dim=3)


def causal_mask(position_ids: torch.Tensor, n_positions: int) -> torch.Tensor:
    """Return what to add to attention scores, ``(batch, 1, n_tokens, n_positions)``."""
    visible = torch.arange(n_positions) <= position_ids.unsqueeze(2)
    return torch.where(visible, 0.0, float("-inf")).unsqueeze(1)


class Write(torch.autograd.Function):
    """Rows written to places of a cache: ONNX's ``ScatterND``, which can work in place."""

    @staticmethod
    def forward(
        _context: object, cache: torch.Tensor, places: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        """Return the cache ``(batch, n_heads, n_positions, head_dim)`` with ``rows`` in it."""
        return cache.index_put(places.unbind(3), rows)

    @staticmethod
    def symbolic(
        graph: torch.Graph, cache: torch.Value, places: torch.Value, rows: torch.Value
    ) -> torch.Value:
        """Return the node that does it."""
        filled: torch.Value = graph.op("ScatterND", cache, places, rows)
        filled.setType(cache.type())
        return filled
