"""Whisper's encoder as a graph: features of any length -> cross-attention keys and values.

Transformers' forward pass fixes the window to 30 s; this one slices the position embeddings to the
window that it is given. Every decoder layer's keys and values are projected here, once for an
utterance.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from export.attention import Attention
from export.whisper_layers import FeedForward, join

if TYPE_CHECKING:
    from transformers import WhisperForConditionalGeneration

Cache = tuple[torch.Tensor, torch.Tensor]
"""Keys and values, each ``(batch, n_heads, n_positions, head_dim)``."""


class WhisperEncoderGraph(nn.Module):
    """Features -> cross-attention keys and values."""

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        super().__init__()
        encoder = model.model.encoder
        self.config = model.config
        self.conv1, self.conv2 = encoder.conv1, encoder.conv2
        self.positions = encoder.embed_positions.weight
        self.layers = nn.ModuleList(_Layer(layer) for layer in encoder.layers)
        self.layer_norm = encoder.layer_norm
        self.cross = nn.ModuleList(
            _KeyValue(layer.encoder_attn) for layer in model.model.decoder.layers
        )

    def forward(self, input_features: torch.Tensor) -> dict[str, tuple[Cache, ...]]:
        """Encode.

        Args:
            input_features: ``(batch, n_mels, n_frames)``, n_frames even.

        Returns:
            ``present``: one :data:`Cache` per decoder layer, n_frames / 2 positions.
        """
        hidden = nn.functional.gelu(self.conv1(input_features))
        hidden = nn.functional.gelu(self.conv2(hidden)).transpose(1, 2)
        hidden = hidden + self.positions[: hidden.shape[1]]
        for layer in self.layers:
            hidden = layer(hidden)
        hidden = self.layer_norm(hidden)
        return {"present": tuple(project(hidden) for project in self.cross)}


class _Layer(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.self_norm = layer.self_attn_layer_norm
        self.self_attention = _SelfAttention(layer.self_attn)
        self.feed_forward = FeedForward(layer)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        attended = self.self_attention(self.self_norm(hidden))
        widened: torch.Tensor = self.feed_forward(hidden + attended)
        return widened


class _SelfAttention(nn.Module):
    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.n_heads: int = attention.num_heads
        self.width: int = attention.embed_dim
        self.qkv = join(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = attention.out_proj

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        query, key, value = self.qkv(hidden).split(self.width, dim=2)
        attended: torch.Tensor = self.out(Attention.apply(query, key, value, self.n_heads))
        return attended


class _KeyValue(nn.Module):
    """Cross-attention keys and values of one decoder layer."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.n_heads: int = attention.num_heads
        self.head_dim: int = attention.head_dim
        self.kv = join(attention.k_proj, attention.v_proj)

    def forward(self, hidden: torch.Tensor) -> Cache:
        both = self.kv(hidden).unflatten(2, (2, self.n_heads, self.head_dim))
        key, value = both.permute(2, 0, 3, 1, 4).unbind(0)
        return key, value
