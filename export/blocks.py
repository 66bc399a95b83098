"""Block-wise weights: MatMul -> onnxruntime's MatMulNBits.

The layout is that of the operator's documentation (onnxruntime, docs/ContribOperators.md): the
weights of one output column lie together, in blocks along the input; 4-bit values are packed two to
a byte, the first one low; without zero points, the middle of the range stands for zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import helper

from export.rewriting import DOMAIN

if TYPE_CHECKING:
    from collections.abc import Collection

    import onnx

    from export.weights import Array, WeightWriter

BLOCK_SIZE = 32
"""Weights that share one scale. ARM's kernels want multiples of it, without zero points."""
ACCURACY_LEVEL = 4
"""onnxruntime's name for int8 activations; without it, weights are unpacked to float32 first."""
_COLUMNS_AT_ONCE = 2048
"""Of a weight that is being quantized: what is in memory in float."""
_SHRUNK = (0.95, 0.9, 0.85, 0.8, 0.75)
"""Parts of the full scale that are tried where a block's scale is fitted."""


class InBlocks:
    """A rewrite (:mod:`export.rewriting`) of products in symmetric blocks."""

    def __init__(
        self,
        bits: int,
        *,
        block_size: int = BLOCK_SIZE,
        eight_bit: Collection[str] = (),
        fitted: bool = False,
    ) -> None:
        """Set how.

        Args:
            bits: 4 or 8.
            block_size: weights that share a scale: 16, 32, 64, 128 or 256.
            eight_bit: names of nodes that get 8 bits all the same.
            fitted: see :func:`quantize_blocks`.
        """
        self._bits = bits
        self._block_size = block_size
        self._eight_bit = eight_bit
        self._fitted = fitted

    def __call__(
        self, product: onnx.NodeProto, weight: Array, writer: WeightWriter
    ) -> list[onnx.NodeProto]:
        """Return the one node of a product."""
        bits = 8 if product.name in self._eight_bit else self._bits
        name = f"{product.input[1]}_blocks{bits}"
        if name not in writer:
            packed, scales = quantize_blocks(
                weight, bits=bits, block_size=self._block_size, fitted=self._fitted
            )
            writer.add(name, packed)
            writer.add(f"{name}_scales", scales)
        node = helper.make_node(
            "MatMulNBits",
            [product.input[0], name, f"{name}_scales"],
            list(product.output),
            name=product.name,
            domain=DOMAIN,
            K=weight.shape[0],
            N=weight.shape[1],
            bits=bits,
            block_size=self._block_size,
            accuracy_level=ACCURACY_LEVEL,
        )
        return [node]


def quantize_blocks(
    weight: Array, *, bits: int, block_size: int, fitted: bool = False
) -> tuple[Array, Array]:
    """Quantize the weights of one product.

    Args:
        weight: float32, ``(n_inputs, n_outputs)``; it may be mapped from a file, and is never in
            memory as a whole.
        bits: 4 or 8.
        block_size: weights that share a scale.
        fitted: of some smaller scales, take each block's best. Its largest weights are then cut
            off, and the many small ones are told apart more finely.

    Returns:
        uint8 ``(n_outputs, n_blocks, block_size * bits / 8)`` and float32 scales
        ``(n_outputs, n_blocks)``.
    """
    n_inputs, n_outputs = weight.shape
    n_blocks = -(-n_inputs // block_size)
    packed = np.empty((n_outputs, n_blocks, block_size * bits // 8), dtype=np.uint8)
    scales = np.empty((n_outputs, n_blocks), dtype=np.float32)
    for first in range(0, n_outputs, _COLUMNS_AT_ONCE):
        columns = weight[:, first : first + _COLUMNS_AT_ONCE].T
        padded = np.zeros((len(columns), n_blocks * block_size), dtype=np.float32)
        padded[:, :n_inputs] = columns
        chunk = slice(first, first + _COLUMNS_AT_ONCE)
        blocks = padded.reshape(len(columns), n_blocks, block_size)
        packed[chunk], scales[chunk] = _quantize(blocks, bits, _SHRUNK if fitted else ())
    return packed, scales


def _quantize(blocks: Array, bits: int, shrunk: Collection[float]) -> tuple[Array, Array]:
    """Return codes, packed, and scales of ``(n_outputs, n_blocks, block_size)``."""
    middle = 1 << (bits - 1)
    # The range has one more negative value: the largest weight of a block, with its sign, takes it.
    at = np.abs(blocks).argmax(axis=2)[..., np.newaxis]
    full = np.take_along_axis(blocks, at, axis=2) / -middle
    scales = full
    if shrunk:
        error = _squared_error(blocks, full, middle)
        for share in shrunk:
            tried = _squared_error(blocks, full * share, middle)
            scales = np.where(tried < error, full * share, scales)
            error = np.minimum(tried, error)
    codes = (_steps(blocks, scales, middle) + middle).astype(np.uint8)
    packed = codes if bits == 8 else codes[..., 0::2] | (codes[..., 1::2] << 4)  # noqa: PLR2004
    return packed, scales[..., 0]


def _steps(blocks: Array, scales: Array, middle: int) -> Array:
    """Return whole multiples of the scales, cut off at the range's ends."""
    steps = np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales != 0)
    np.clip(np.rint(steps, out=steps), -middle, middle - 1, out=steps)
    return steps


def _squared_error(blocks: Array, scales: Array, middle: int) -> Array:
    """Return what a block loses, ``(n_outputs, n_blocks, 1)``."""
    lost = _steps(blocks, scales, middle) * scales - blocks
    squared: Array = np.einsum("ijk,ijk->ij", lost, lost)
    return squared[..., np.newaxis]
