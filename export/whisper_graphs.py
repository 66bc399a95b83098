"""The two graphs of a Whisper bundle, as torch modules over Transformers' own weights.

Transformers' forward passes fix the window to 30 s and hide the caches in objects. These loops say
plainly what the graphs compute; the weights stay those of the checkpoint.

* Encoder: features of any even number of frames -> cross-attention keys and values of every decoder
  layer, projected once per utterance. Position embeddings are sliced to the window.
* Decoder: tokens and caches -> logits and the grown caches. Prompt (empty cache), single step and
  verification of several tokens are one graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

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
        self.layers = nn.ModuleList(_EncoderLayer(layer) for layer in encoder.layers)
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


class WhisperDecoderGraph(nn.Module):
    """Tokens and caches -> logits and the grown caches."""

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        super().__init__()
        decoder = model.model.decoder
        self.config = model.config
        self.tokens = decoder.embed_tokens
        self.positions = decoder.embed_positions.weight
        self.layers = nn.ModuleList(_DecoderLayer(layer) for layer in decoder.layers)
        self.layer_norm = decoder.layer_norm
        self.head = model.proj_out

    def forward(
        self,
        input_ids: torch.Tensor,
        past: tuple[tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor], ...],
    ) -> dict[str, Any]:
        """Decode.

        Args:
            input_ids: ``(batch, n_tokens)``.
            past: for each layer its own keys and values so far (n_past >= 0 positions), then the
                cross-attention keys and values.

        Returns:
            ``logits`` ``(batch, n_tokens, vocab_size)``; ``present``: the layers' own caches, with
            n_past + n_tokens positions.
        """
        n_past = past[0][0].shape[2]
        n_tokens = input_ids.shape[1]
        hidden = self.tokens(input_ids) + self.positions[n_past : n_past + n_tokens]
        mask = _causal_mask(n_past, n_tokens)
        present = []
        for layer, (key, value, cross_key, cross_value) in zip(self.layers, past, strict=True):
            hidden, cache = layer(hidden, mask, (key, value), (cross_key, cross_value))
            present.append(cache)
        return {"logits": self.head(self.layer_norm(hidden)), "present": tuple(present)}


def _causal_mask(n_past: int, n_tokens: int) -> torch.Tensor:
    """Return what to add to attention scores, ``(n_tokens, n_past + n_tokens)``."""
    keys = torch.arange(n_past + n_tokens)
    queries = torch.arange(n_tokens) + n_past
    visible = keys.unsqueeze(0) <= queries.unsqueeze(1)
    return torch.where(visible, 0.0, float("-inf"))


class _Attention(nn.Module):
    """Scaled dot-product attention behind a projection of queries and before one of the result."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.n_heads: int = attention.num_heads
        self.head_dim: int = attention.head_dim
        self.out = attention.out_proj

    def attend(
        self,
        query: torch.Tensor,
        cache: Cache,
        mask: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Attend with scaled queries.

        Args:
            query: ``(batch, n_heads, n_queries, head_dim)``.
            cache: keys and values.
            mask: added to the scores.

        Returns:
            ``(batch, n_queries, n_heads * head_dim)``.
        """
        key, value = cache
        scores = torch.matmul(query, key.transpose(2, 3))
        if mask is not None:
            scores = scores + mask
        mixed = torch.matmul(torch.softmax(scores, dim=-1), value)
        joined: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return joined


class _SelfAttention(_Attention):
    """Queries, keys and values by one product: one quantization of its input, one kernel call."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__(attention)
        # Heads of a power of two's square (all of Whisper's are 64 wide) scale exactly.
        parts = [
            (
                attention.q_proj.weight * attention.scaling,
                attention.q_proj.bias * attention.scaling,
            ),
            (attention.k_proj.weight, torch.zeros_like(attention.q_proj.bias)),
            (attention.v_proj.weight, attention.v_proj.bias),
        ]
        self.qkv = _linear(parts)

    def forward(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor | None = None,
        past: Cache | None = None,
    ) -> tuple[torch.Tensor, Cache]:
        qkv = self.qkv(hidden).unflatten(2, (3, self.n_heads, self.head_dim))
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        if past is not None:
            key = torch.cat([past[0], key], dim=2)
            value = torch.cat([past[1], value], dim=2)
        return self.attend(query, (key, value), mask), (key, value)


class _CrossAttention(_Attention):
    def __init__(self, attention: nn.Module) -> None:
        super().__init__(attention)
        query = attention.q_proj
        self.q = _linear([(query.weight * attention.scaling, query.bias * attention.scaling)])

    def forward(self, hidden: torch.Tensor, cross: Cache) -> torch.Tensor:
        query = self.q(hidden).unflatten(2, (self.n_heads, self.head_dim)).transpose(1, 2)
        return self.attend(query, cross)


class _KeyValue(nn.Module):
    """Cross-attention keys and values of one decoder layer, by one product."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.n_heads: int = attention.num_heads
        self.head_dim: int = attention.head_dim
        value = attention.v_proj
        self.kv = _linear(
            [(attention.k_proj.weight, torch.zeros_like(value.bias)), (value.weight, value.bias)],
        )

    def forward(self, hidden: torch.Tensor) -> Cache:
        both = self.kv(hidden).unflatten(2, (2, self.n_heads, self.head_dim))
        key, value = both.permute(2, 0, 3, 1, 4).unbind(0)
        return key, value


class _EncoderLayer(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.self_norm = layer.self_attn_layer_norm
        self.self_attention = _SelfAttention(layer.self_attn)
        self.feed_forward = _FeedForward(layer)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        attended, _ = self.self_attention(self.self_norm(hidden))
        return self.feed_forward(hidden + attended)


class _DecoderLayer(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.self_norm = layer.self_attn_layer_norm
        self.self_attention = _SelfAttention(layer.self_attn)
        self.cross_norm = layer.encoder_attn_layer_norm
        self.cross_attention = _CrossAttention(layer.encoder_attn)
        self.feed_forward = _FeedForward(layer)

    def forward(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor,
        past: Cache,
        cross: Cache,
    ) -> tuple[torch.Tensor, Cache]:
        attended, present = self.self_attention(self.self_norm(hidden), mask, past)
        hidden = hidden + attended
        hidden = hidden + self.cross_attention(self.cross_norm(hidden), cross)
        return self.feed_forward(hidden), present


class _FeedForward(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.norm = layer.final_layer_norm
        self.up, self.down = layer.fc1, layer.fc2

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        widened = nn.functional.gelu(self.up(self.norm(hidden)))
        return hidden + self.down(widened)


def _linear(parts: list[tuple[torch.Tensor, torch.Tensor]]) -> nn.Linear:
    """Return one projection that gives what those of ``parts`` give, side by side."""
    weight = torch.cat([weight for weight, _ in parts]).detach()
    joined = nn.Linear(weight.shape[1], weight.shape[0])
    joined.weight = nn.Parameter(weight, requires_grad=False)
    joined.bias = nn.Parameter(torch.cat([bias for _, bias in parts]).detach(), requires_grad=False)
    return joined
