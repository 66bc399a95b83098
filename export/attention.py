"""Attention over whole sequences as one node, which onnxruntime computes block by block.

Scores of 1500 frames with each other are 9 MB a head; written out as products and a softmax they
go through memory several times. onnxruntime's ``MultiHeadAttention`` keeps a block in the cache
(FlashAttention, Dao et al., 2022, arXiv 2205.14135): it takes a fifth of the time.
"""

from __future__ import annotations

import torch


class Attention(torch.autograd.Function):
    """Scaled dot-product attention without a mask: ``com.microsoft.MultiHeadAttention``."""

    @staticmethod
    def forward(
        _context: object,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        n_heads: int,
    ) -> torch.Tensor:
        """Attend.

        Args:
            query: ``(batch, n_queries, n_heads * head_dim)``, not scaled.
            key: ``(batch, n_keys, n_heads * head_dim)``, or in heads already:
                ``(batch, n_heads, n_keys, head_dim)``.
            value: as ``key``.
            n_heads: how many.

        Returns:
            ``(batch, n_queries, n_heads * head_dim)``.
        """
        heads = [_in_heads(each, n_heads) for each in (query, key, value)]
        mixed = torch.nn.functional.scaled_dot_product_attention(*heads)
        return mixed.transpose(1, 2).flatten(2)

    @staticmethod
    def symbolic(
        graph: torch.Graph,
        query: torch.Value,
        key: torch.Value,
        value: torch.Value,
        n_heads: int,
    ) -> torch.Value:
        """Return the node that does it."""
        attended: torch.Value = graph.op(
            "com.microsoft::MultiHeadAttention", query, key, value, num_heads_i=n_heads
        )
        attended.setType(query.type())
        return attended


def _in_heads(tensor: torch.Tensor, n_heads: int) -> torch.Tensor:
    if tensor.dim() == 4:  # noqa: PLR2004
        return tensor
    return tensor.unflatten(2, (n_heads, -1)).transpose(1, 2)
