"""Granite's language model as one graph: embeddings and caches -> tokens and the filled caches.

Prompt, single step and verification of several tokens are one graph. What comes next is decided in
it: the likeliest token and its log-probability, so that 100,353 logits a row need not leave it.
Only the last rows are looked at, as many as are asked for.

A cache has a fixed number of positions. Keys and values are written where their positions are, and
a query sees the positions up to its own. So a runtime that is given the same memory for ``past``
and ``present`` copies nothing, forgetting a rejected draft is counting back, and a token's sums run
over the same number of keys whether it is fed alone or with others: they are the same to the bit
(docs/decisions/0008-granite-cache.md).

Granite's four multipliers are all here: ``embedding_multiplier`` on what comes in (text and audio
alike, so both are fed unscaled), ``attention_multiplier`` in place of 1 / sqrt(head_dim),
``residual_multiplier`` on what each half of a layer adds, and ``logits_scaling``, which divides.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from export.cache import Write, cache_places, causal_mask
from export.granite_products import take_product

if TYPE_CHECKING:
    from transformers import GraniteForCausalLM

Cache = tuple[torch.Tensor, torch.Tensor]
"""Keys and values, each ``(batch, n_kv_heads, n_positions, head_dim)``."""
Past = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Where to write, and a layer's keys and values."""


class GraniteDecoderGraph(nn.Module):
    """Embeddings and caches -> tokens and filled caches. Takes the language model apart."""

    def __init__(self, language_model: GraniteForCausalLM) -> None:
        super().__init__()
        text = language_model.model
        self.config = language_model.config
        self.embedding_multiplier: float = text.embedding_multiplier
        self.logits_scaling: float = self.config.logits_scaling
        self.rotation = _Rotation(text.rotary_emb)
        self.layers = nn.ModuleList(_Layer(layer) for layer in text.layers)
        self.norm = _Norm(text.norm)
        self.head = take_product(language_model.lm_head)

    def forward(
        self,
        inputs_embeds: torch.Tensor,
        position_ids: torch.Tensor,
        num_logits_to_keep: torch.Tensor,
        asked_ids: torch.Tensor,
        past: tuple[Cache, ...],
    ) -> dict[str, Any]:
        """Decode.

        Args:
            inputs_embeds: ``(batch, n_tokens, hidden_size)``, not multiplied.
            position_ids: ``(batch, n_tokens)``, each below n_positions.
            num_logits_to_keep: how many of the last rows to look at, shape ``()``; 0: all.
            asked_ids: ``(batch, n_logits)``, a token for each of these rows.
            past: the layers' keys and values; what lies at a position beyond a query's own is not
                looked at, but must be finite.

        Returns:
            ``best_ids`` and ``best_logprobs``, ``(batch, n_logits)``: the likeliest next tokens and
            their natural log-probabilities; ``asked_logprobs``, those of ``asked_ids``; ``logits``
            ``(batch, n_logits, vocab_size)``; ``present``: the caches, with the tokens written.
        """
        sizes = (inputs_embeds.shape[0], inputs_embeds.shape[1])
        places = cache_places(position_ids, past[0][0].shape[1])
        mask = causal_mask(position_ids, past[0][0].shape[2])
        rotation = self.rotation(position_ids)
        hidden = inputs_embeds * self.embedding_multiplier
        present = []
        for layer, cache in zip(self.layers, past, strict=True):
            hidden, filled = layer(hidden, sizes, mask, rotation, (places, *cache))
            present.append(filled)
        kept = hidden[:, -num_logits_to_keep:]
        logits = self.head(self.norm(kept)) / self.logits_scaling
        return {**_choices(logits, asked_ids), "logits": logits, "present": tuple(present)}


def _choices(logits: torch.Tensor, asked_ids: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return what greedy search needs to know of logits."""
    best_ids = logits.argmax(dim=2)
    logprobs = torch.log_softmax(logits, dim=2)
    asked = torch.stack([best_ids, asked_ids], dim=2)
    of_best, of_asked = logprobs.gather(2, asked).unbind(2)
    return {"best_ids": best_ids, "best_logprobs": of_best, "asked_logprobs": of_asked}


class _Rotation(nn.Module):
    """Rotary positions: cosines and sines of every position, for both halves of a head."""

    def __init__(self, rotary: nn.Module) -> None:
        super().__init__()
        self.frequencies = nn.Parameter(rotary.inv_freq.detach().clone(), requires_grad=False)
        self.scale: float = rotary.attention_scaling

    def forward(self, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cosines and sines, each ``(batch, 1, n_tokens, head_dim)``."""
        angles = position_ids.to(torch.float32).unsqueeze(2) * self.frequencies
        both = torch.cat([angles, angles], dim=2).unsqueeze(1)
        return torch.cos(both) * self.scale, torch.sin(both) * self.scale


def _rotate(
    heads: torch.Tensor, rotation: tuple[torch.Tensor, torch.Tensor], half: int
) -> torch.Tensor:
    """Rotate each head's first half against its second: Transformers' ``rotate_half``."""
    cosines, sines = rotation
    first, second = heads.split(half, dim=-1)
    return heads * cosines + torch.cat([-second, first], dim=-1) * sines


class _Norm(nn.Module):
    """Root-mean-square norm, written the way onnxruntime recognises."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.weight = norm.weight
        self.epsilon: float = norm.variance_epsilon

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        mean_square = hidden.pow(2).mean(-1, keepdim=True)
        normed: torch.Tensor = hidden / torch.sqrt(mean_square + self.epsilon) * self.weight
        return normed


class _Layer(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.attention_norm = _Norm(layer.input_layernorm)
        self.attention = _Attention(layer.self_attn)
        self.feed_forward_norm = _Norm(layer.post_attention_layernorm)
        self.feed_forward = _FeedForward(layer.mlp)
        self.residual_multiplier: float = layer.residual_multiplier

    def forward(
        self,
        hidden: torch.Tensor,
        sizes: tuple[int, int],
        mask: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        past: Past,
    ) -> tuple[torch.Tensor, Cache]:
        attended, present = self.attention(self.attention_norm(hidden), sizes, mask, rotation, past)
        hidden = hidden + attended * self.residual_multiplier
        fed = self.feed_forward(self.feed_forward_norm(hidden))
        return hidden + fed * self.residual_multiplier, present


class _Attention(nn.Module):
    """Grouped-query attention. Keys and values are never repeated: groups are rows of queries."""

    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.head_dim: int = attention.head_dim
        self.n_kv_heads: int = attention.config.num_key_value_heads
        self.n_groups: int = attention.num_key_value_groups
        self.scale: float = attention.scaling
        self.qkv = take_product(attention.q_proj, attention.k_proj, attention.v_proj)
        self.out = take_product(attention.o_proj)

    def forward(
        self,
        hidden: torch.Tensor,
        sizes: tuple[int, int],
        mask: torch.Tensor,
        rotation: tuple[torch.Tensor, torch.Tensor],
        past: Past,
    ) -> tuple[torch.Tensor, Cache]:
        places, keys, values = past
        batch_size, n_tokens = sizes
        n_heads = self.n_kv_heads * self.n_groups
        grouped = (batch_size, self.n_kv_heads, self.n_groups * n_tokens)
        split = (batch_size, n_tokens, n_heads + 2 * self.n_kv_heads, self.head_dim)
        heads = self.qkv(hidden).reshape(split).transpose(1, 2)
        rotated = _rotate(heads[:, : n_heads + self.n_kv_heads], rotation, self.head_dim // 2)
        key = Write.apply(keys, places, rotated[:, n_heads:])
        value = Write.apply(values, places, heads[:, n_heads + self.n_kv_heads :])
        rows = (rotated[:, :n_heads] * self.scale).reshape(*grouped, self.head_dim)
        scores = torch.matmul(rows, key.transpose(2, 3))
        masked = scores.reshape(batch_size, n_heads, n_tokens, -1) + mask
        weights = torch.softmax(masked, dim=-1).reshape(*grouped, -1)
        mixed = torch.matmul(weights, value).reshape(batch_size, n_heads, n_tokens, self.head_dim)
        joined = mixed.transpose(1, 2).reshape(batch_size, n_tokens, n_heads * self.head_dim)
        attended: torch.Tensor = self.out(joined)
        return attended, (key, value)


class _FeedForward(nn.Module):
    """Gated: both of its widening projections are one product."""

    def __init__(self, mlp: nn.Module) -> None:
        super().__init__()
        self.width: int = mlp.intermediate_size
        self.gate_and_up = take_product(mlp.gate_proj, mlp.up_proj)
        self.activation = mlp.act_fn
        self.down = take_product(mlp.down_proj)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        gate, up = self.gate_and_up(hidden).split(self.width, dim=-1)
        narrowed: torch.Tensor = self.down(self.activation(gate) * up)
        return narrowed
