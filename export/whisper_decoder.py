"""Whisper's decoder as a graph: tokens and caches -> what comes next, and the filled caches.

Prompt, single step and verification of several tokens are one graph. What comes next is decided in
it: the likeliest token and its log-probability, so that 51,865 logits a row need not leave it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from export.attention import Attention
from export.cache import Write, cache_places, causal_mask
from export.whisper_layers import FeedForward, join

if TYPE_CHECKING:
    from transformers import WhisperForConditionalGeneration

Cache = tuple[torch.Tensor, torch.Tensor]
"""Keys and values, each ``(batch, n_heads, n_positions, head_dim)``."""
LayerPast = tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]
"""A layer's own keys and values, then those of cross-attention."""


class WhisperDecoderGraph(nn.Module):
    """Tokens and caches -> tokens and filled caches."""

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        super().__init__()
        decoder = model.model.decoder
        self.config = model.config
        self.tokens = decoder.embed_tokens
        self.positions = decoder.embed_positions.weight
        self.layers = nn.ModuleList(_Layer(layer) for layer in decoder.layers)
        self.layer_norm = decoder.layer_norm
        self.head = model.proj_out

    def forward(
        self,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        logit_bias: torch.Tensor,
        past: tuple[LayerPast, ...],
    ) -> dict[str, Any]:
        """Decode.

        Args:
            input_ids: ``(batch, n_tokens)``.
            position_ids: ``(batch, n_tokens)``, each below n_positions.
            logit_bias: ``(vocab_size,)``, added to logits before the choice: minus infinity for
                what may not come.
            past: for each layer its own keys and values, then the cross-attention's. What lies at a
                position beyond a query's own is not looked at, but must be finite.

        Returns:
            ``best_ids`` and ``best_logprobs``, ``(batch, n_tokens)``: the likeliest next tokens and
            their natural log-probabilities; ``logits`` ``(batch, n_tokens, vocab_size)``, without
            the bias; ``present``: the layers' own caches, with the tokens written;
            ``cross_queries``: for each layer what its cross-attention asked the sound for,
            ``(batch, n_tokens, n_heads * head_dim)``, not scaled: with the keys it tells when each
            token was said.
        """
        own = past[0][0]
        places = cache_places(position_ids, own.shape[1])
        mask = causal_mask(position_ids, own.shape[2])
        hidden = self.tokens(input_ids) + nn.functional.embedding(position_ids, self.positions)
        present, queries = [], []
        for layer, (keys, values, *cross) in zip(self.layers, past, strict=True):
            hidden, filled, query = layer(hidden, mask, places, (keys, values), cross)
            present.append(filled)
            queries.append(query)
        logits = self.head(self.layer_norm(hidden))
        logprobs, best_ids = torch.log_softmax(logits + logit_bias, dim=2).topk(1, dim=2)
        return {
            "best_ids": best_ids.squeeze(2),
            "best_logprobs": logprobs.squeeze(2),
            "logits": logits,
            "present": tuple(present),
            "cross_queries": tuple(queries),
        }


class _Layer(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.self_norm = layer.self_attn_layer_norm
        self.self_attention = _SelfAttention(layer.self_attn)
        self.cross_norm = layer.encoder_attn_layer_norm
        self.cross_attention = _CrossAttention(layer.encoder_attn)
        self.feed_forward = FeedForward(layer)

    def forward(
        self,
        hidden: torch.Tensor,
        mask: torch.Tensor,
        places: torch.Tensor,
        own: Cache,
        cross: Cache,
    ) -> tuple[torch.Tensor, Cache, torch.Tensor]:
        attended, present = self.self_attention(self.self_norm(hidden), mask, places, own)
        hidden = hidden + attended
        attended, query = self.cross_attention(self.cross_norm(hidden), cross)
        return self.feed_forward(hidden + attended), present, query


class _SelfAttention(nn.Module):
    """Over the tokens so far, in a cache that is filled in place."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.n_heads: int = attention.num_heads
        self.head_dim: int = attention.head_dim
        projections = (attention.q_proj, attention.k_proj, attention.v_proj)
        self.qkv = join(*projections, scales=(attention.scaling, 1.0, 1.0))
        self.out = attention.out_proj

    def forward(
        self, hidden: torch.Tensor, mask: torch.Tensor, places: torch.Tensor, own: Cache
    ) -> tuple[torch.Tensor, Cache]:
        heads = self.qkv(hidden).unflatten(2, (3 * self.n_heads, self.head_dim)).transpose(1, 2)
        query, key_rows, value_rows = heads.split(self.n_heads, dim=1)
        key = Write.apply(own[0], places, key_rows)
        value = Write.apply(own[1], places, value_rows)
        scores = torch.matmul(query, key.transpose(2, 3)) + mask
        mixed = torch.matmul(torch.softmax(scores, dim=-1), value)
        attended: torch.Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return attended, (key, value)


class _CrossAttention(nn.Module):
    """Over the sound."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.n_heads: int = attention.num_heads
        self.q, self.out = attention.q_proj, attention.out_proj

    def forward(self, hidden: torch.Tensor, cross: Cache) -> tuple[torch.Tensor, torch.Tensor]:
        query: torch.Tensor = self.q(hidden)
        attended: torch.Tensor = self.out(Attention.apply(query, *cross, self.n_heads))
        return attended, query
