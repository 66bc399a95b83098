"""Granite's projector: windows of 15 encoder frames -> 3 vectors for the decoder each.

A Q-Former (BLIP-2's): learnt queries attend to one another and to the frames of their window. The
frames of a window are always 15; behind a clip's end they are zeros, as in Transformers.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from export.granite_products import take_product


class Projector(nn.Module):
    """Encoder frames -> audio features. Takes Transformers' projector apart."""

    def __init__(self, projector: nn.Module) -> None:
        super().__init__()
        former = projector.qformer
        self.window: int = projector.window_size
        self.frame_width: int = former.config.encoder_hidden_size
        self.width: int = former.config.hidden_size
        self.layers = nn.ModuleList(_Layer(layer) for layer in former.encoder.layer)
        self.outlet = take_product(projector.linear)
        # What the queries say to each other before they hear anything is always the same.
        with torch.no_grad():
            queries = self.layers[0].mingle(former.layernorm(projector.query))
            asked = self.layers[0].ask(queries)
        self.queries = nn.Parameter(queries, requires_grad=False)
        self.first_asked = nn.Parameter(asked, requires_grad=False)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        """Project.

        Args:
            frames: ``(batch, n_frames, width)``, zeros behind a clip's end.

        Returns:
            ``(batch, n_windows * n_queries, hidden_size)``.
        """
        n_missing = (self.window - frames.shape[1] % self.window) % self.window
        windows = functional.pad(frames, (0, 0, 0, n_missing))
        windows = windows.reshape(-1, self.window, self.frame_width)
        hidden = self.layers[0].hear(self.queries, self.first_asked, windows)
        for layer in self.layers[1:]:
            hidden = layer.mingle(hidden)
            hidden = layer.hear(hidden, layer.ask(hidden), windows)
        projected: torch.Tensor = self.outlet(hidden.reshape(frames.shape[0], -1, self.width))
        return projected


class _Layer(nn.Module):
    """The queries mingle (attend to one another), ask, and hear (attend to their window)."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        if not layer.has_cross_attention:
            raise ValueError("a projector layer without cross-attention: not a Granite Speech")
        own, cross = layer.attention, layer.crossattention
        self.n_heads: int = own.attention.num_attention_heads
        self.head_dim: int = own.attention.attention_head_size
        self.qkv = take_product(own.attention.query, own.attention.key, own.attention.value)
        self.own = _Residual(own.output)
        self.q = take_product(cross.attention.query)
        self.kv = take_product(cross.attention.key, cross.attention.value)
        self.cross = _Residual(cross.output)
        self.up = take_product(layer.intermediate_query.dense)
        self.activation = layer.intermediate_query.intermediate_act_fn
        self.feed_forward = _Residual(layer.output_query)

    def mingle(self, hidden: torch.Tensor) -> torch.Tensor:
        """Let the queries attend to one another, ``(n_windows, n_queries, width)``."""
        query, key, value = self._heads(self.qkv(hidden), 3)
        mixed: torch.Tensor = self.own(self._attend(query, key, value), hidden)
        return mixed

    def ask(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the queries for the window, ``(n_windows, n_heads, n_queries, head_dim)``."""
        return self._heads(self.q(hidden), 1)[0]

    def hear(
        self, hidden: torch.Tensor, asked: torch.Tensor, windows: torch.Tensor
    ) -> torch.Tensor:
        """Attend to the frames of the windows, ``(n_windows, n_frames, width)``."""
        key, value = self._heads(self.kv(windows), 2)
        hidden = self.cross(self._attend(asked, key, value), hidden)
        fed: torch.Tensor = self.feed_forward(self.activation(self.up(hidden)), hidden)
        return fed

    def _heads(self, joined: torch.Tensor, n_parts: int) -> tuple[torch.Tensor, ...]:
        """Split ``(batch, n, width)`` into parts of ``(batch, n_heads, n, head_dim)``."""
        parts = joined.unflatten(2, (n_parts, self.n_heads, self.head_dim))
        return tuple(parts.permute(2, 0, 3, 1, 4).unbind(0))

    def _attend(self, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
        scores = torch.matmul(query * self.head_dim**-0.5, key.transpose(2, 3))
        return torch.matmul(torch.softmax(scores, dim=-1), value).transpose(1, 2).flatten(2)


class _Residual(nn.Module):
    """A projection, added to what it came from, then normalised."""

    def __init__(self, output: nn.Module) -> None:
        super().__init__()
        self.out = take_product(output.dense)
        self.norm = output.LayerNorm

    def forward(self, inner: torch.Tensor, hidden: torch.Tensor) -> torch.Tensor:
        normed: torch.Tensor = self.norm(self.out(inner) + hidden)
        return normed
