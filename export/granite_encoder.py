"""Granite's audio encoder as one graph: features -> what the decoder hears, and CTC logits.

Transformers' forward pass fixes the number of attention blocks when it is traced, and does not know
that a batch has clips of different lengths. This one computes the same for a single clip and, with
masks, for each clip of a batch as if it were alone:

* attention within blocks of 200 frames, the blocks folded into the batch; frames beyond a clip's
  end are no keys;
* Shaw's relative positions as one product with the table, whose rows are then skewed into place,
  instead of a gathered (200, 200, head_dim) table per layer;
* frames beyond a clip's end are zeroed before each depthwise convolution and before the projector,
  where Transformers pads with zeros;
* convolutions of kernel size 1 are matrix products, which quantizers know.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from export.granite_products import Product, take_product
from export.granite_projector import Projector

if TYPE_CHECKING:
    from transformers import GraniteSpeechForConditionalGeneration


class GraniteEncoderGraph(nn.Module):
    """Features -> audio features and CTC logits. Takes the model's encoder and projector apart."""

    def __init__(self, model: GraniteSpeechForConditionalGeneration) -> None:
        super().__init__()
        encoder = model.encoder
        self.config = model.config
        self.block_frames: int = encoder.config.context_size
        self.inlet = take_product(encoder.input_linear)
        self.layers = nn.ModuleList(_Block(layer) for layer in encoder.layers)
        self.feedback_after: int = encoder.num_layers // 2
        """After so many layers, what the CTC head says is fed back."""
        self.ctc = take_product(encoder.out)
        self.feedback = take_product(encoder.out_mid)
        self.projector = Projector(model.projector)

    def forward(
        self,
        input_features: torch.Tensor,
        frame_lengths: torch.Tensor,
    ) -> dict[str, torch.Tensor]:
        """Encode.

        Args:
            input_features: ``(batch, n_frames, 160)``, frames of 20 ms; any n_frames >= 1.
            frame_lengths: ``(batch,)``, frames of each clip that are sound; what lies behind them
                changes nothing.

        Returns:
            ``audio_features`` ``(batch, ceil(n_frames / 15) * 3, hidden_size)``: of a clip of n
            frames the first ceil(n / 15) * 3 count; ``ctc_logits`` ``(batch, n_frames, n_labels)``.
        """
        n_frames = input_features.shape[1]
        sounding = torch.arange(n_frames).unsqueeze(0) < frame_lengths.unsqueeze(1)
        mask = sounding.to(input_features.dtype).unsqueeze(2)
        blocks = _Blocks(sounding, self.block_frames)
        hidden = self.inlet(input_features)
        for index, layer in enumerate(self.layers, start=1):
            hidden = layer(hidden, mask, blocks)
            if index == self.feedback_after:
                hidden = hidden + self.feedback(torch.softmax(self.ctc(hidden), dim=-1))
        return {
            "audio_features": self.projector(hidden * mask),
            "ctc_logits": self.ctc(hidden),
        }


class _Blocks:
    """How frames are cut into blocks for attention. Computed once for all layers."""

    def __init__(self, sounding: torch.Tensor, block_frames: int) -> None:
        self.block_frames = block_frames
        self.n_frames = sounding.shape[1]
        self._n_missing = (block_frames - self.n_frames % block_frames) % block_frames
        is_key = self._pad(sounding.to(torch.float32).unsqueeze(2)).reshape(-1, 1, 1, block_frames)
        # Not minus infinity: in a block without any keys, that would make NaN.
        self.key_mask = (1.0 - is_key) * torch.finfo(torch.float32).min
        """Added to attention scores, ``(batch * n_blocks, 1, 1, block_frames)``."""

    def cut(self, frames: torch.Tensor, *shape: int) -> torch.Tensor:
        """Return ``(batch, n_frames, width)`` as ``(batch * n_blocks, block_frames, *shape)``."""
        return self._pad(frames).reshape(-1, self.block_frames, *shape)

    def join(self, blocks: torch.Tensor, batch_size: int, width: int) -> torch.Tensor:
        """Return what :meth:`cut` took, from ``(batch * n_blocks, block_frames, width)``."""
        return blocks.reshape(batch_size, -1, width)[:, : self.n_frames]

    def _pad(self, frames: torch.Tensor) -> torch.Tensor:
        return functional.pad(frames, (0, 0, 0, self._n_missing))


class _Block(nn.Module):
    """A Conformer block: half a feed-forward, attention, convolution, half a feed-forward."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.feed_forward_1 = _FeedForward(block.ff1)
        self.attention = _Attention(block.attn)
        self.convolution = _Convolution(block.conv)
        self.feed_forward_2 = _FeedForward(block.ff2)
        self.norm = block.post_norm

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor, blocks: _Blocks) -> torch.Tensor:
        hidden = hidden + 0.5 * self.feed_forward_1(hidden)
        hidden = hidden + self.attention(hidden, blocks)
        hidden = hidden + self.convolution(hidden, mask)
        hidden = hidden + 0.5 * self.feed_forward_2(hidden)
        normed: torch.Tensor = self.norm(hidden)
        return normed


class _FeedForward(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.norm = layer.pre_norm
        self.up, self.down = take_product(layer.up_proj), take_product(layer.down_proj)

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        narrowed: torch.Tensor = self.down(functional.silu(self.up(self.norm(hidden))))
        return narrowed


class _Attention(nn.Module):
    """Attention within blocks, with Shaw's relative positions."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.n_heads: int = layer.num_heads
        self.head_dim: int = layer.dim_head
        self.block_frames: int = layer.context_size
        self.scale: float = layer.scale
        self.norm = layer.pre_norm
        self.qkv = take_product(layer.to_q, layer.to_kv)
        self.out = take_product(layer.to_out)
        self.positions = Product(_distances(layer), None)

    def forward(self, hidden: torch.Tensor, blocks: _Blocks) -> torch.Tensor:
        qkv = blocks.cut(self.qkv(self.norm(hidden)), 3, self.n_heads, self.head_dim)
        query, key, value = qkv.permute(2, 0, 3, 1, 4).unbind(0)
        query = query * self.scale
        scores = torch.matmul(query, key.transpose(2, 3)) + self._position_scores(query)
        mixed = torch.matmul(torch.softmax(scores + blocks.key_mask, dim=-1), value)
        joined = mixed.transpose(1, 2).flatten(2)
        width = self.n_heads * self.head_dim
        attended: torch.Tensor = self.out(blocks.join(joined, hidden.shape[0], width))
        return attended

    def _position_scores(self, query: torch.Tensor) -> torch.Tensor:
        """Return ``query[c] . table[distance of c and r]`` for all c, r in a block of C frames.

        The product has a column for each distance, C - 1 down to 1 - C: frame c needs its columns
        C - 1 - c to 2C - 2 - c. In the flattened product these lie 2C - 2 apart, from C - 1 on.
        """
        n_frames = self.block_frames
        by_distance = self.positions(query).flatten(2)
        rows = by_distance[:, :, n_frames - 1 : n_frames - 1 + n_frames * (2 * n_frames - 2)]
        return rows.unflatten(2, (n_frames, 2 * n_frames - 2))[..., :n_frames]


def _distances(layer: nn.Module) -> torch.Tensor:
    """Return the rows of the position table that blocks use, ``(head_dim, 2 C - 1)``.

    They run from distance C - 1 (a key far behind its query) to 1 - C.
    """
    furthest = layer.context_size - 1
    table = layer.rel_pos_emb.weight.detach()
    used = table[layer.max_pos_emb - furthest : layer.max_pos_emb + furthest + 1]
    return used.flip(0).T.contiguous()


class _Convolution(nn.Module):
    """Gated linear unit, depthwise convolution with its batch norm folded in, projection."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.norm = layer.norm
        self.up, self.down = take_product(layer.up_conv), take_product(layer.down_conv)
        self.padding = layer.depth_conv.padding
        weight = layer.depth_conv.conv.weight.detach()
        norm = layer.batch_norm
        factor = norm.weight.detach() / torch.sqrt(norm.running_var + norm.eps)
        shift = norm.bias.detach() - norm.running_mean * factor
        self.weight = nn.Parameter(weight * factor.reshape(-1, 1, 1), requires_grad=False)
        self.bias = nn.Parameter(shift, requires_grad=False)

    def forward(self, hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        value, gate = self.up(self.norm(hidden)).chunk(2, dim=-1)
        gated = (value * torch.sigmoid(gate) * mask).transpose(1, 2)
        padded = functional.pad(gated, self.padding)
        mixed = functional.conv1d(padded, self.weight, self.bias, groups=self.weight.shape[0])
        projected: torch.Tensor = self.down(functional.silu(mixed).transpose(1, 2))
        return projected
