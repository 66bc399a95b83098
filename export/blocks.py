"""Block-wise weights: MatMul -> onnxruntime's MatMulNBits.

The layout is that of the operator's documentation (onnxruntime, docs/ContribOperators.md): the
weights of one output column lie together, in blocks along the input; 4-bit values are packed two to
a byte, the first one low; without zero points, the middle of the range stands for zero.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

BLOCK_SIZE = 32
"""Weights that share one scale. ARM's kernels want multiples of it, without zero points."""
ACCURACY_LEVEL = 4
"""onnxruntime's name for int8 activations; without it, weights are unpacked to float32 first."""
DOMAIN = "com.microsoft"

Array = np.ndarray[Any, np.dtype[Any]]


def to_blocks(
    source: Path,
    target: Path,
    *,
    bits: int,
    block_size: int = BLOCK_SIZE,
    eight_bit: Collection[str] = (),
) -> None:
    """Quantize one graph's matrix products with constant weights to blocks, symmetric.

    Args:
        source: a float graph.
        target: where the quantized one goes.
        bits: 4 or 8.
        block_size: weights that share a scale: 16, 32, 64, 128 or 256.
        eight_bit: names of nodes that get 8 bits all the same.
    """
    model = onnx.load(source)
    graph = model.graph
    constants = {each.name: each for each in graph.initializer}
    for node in graph.node:
        weight = constants.get(node.input[1]) if node.op_type == "MatMul" else None
        if weight is None or len(weight.dims) != 2:  # noqa: PLR2004
            continue
        node_bits = 8 if node.name in eight_bit else bits
        _replace(graph, node, numpy_helper.to_array(weight), node_bits, block_size)
    used = {name for node in graph.node for name in node.input}
    kept = [each for each in graph.initializer if each.name in used]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    if DOMAIN not in {opset.domain for opset in model.opset_import}:
        model.opset_import.append(helper.make_opsetid(DOMAIN, 1))
    onnx.save(model, target)


def _replace(
    graph: onnx.GraphProto,
    node: onnx.NodeProto,
    weight: Array,
    bits: int,
    block_size: int,
) -> None:
    """Turn one MatMul into MatMulNBits, in place."""
    packed, scales = quantize_blocks(weight, bits=bits, block_size=block_size)
    base = f"{node.input[1]}_blocks{bits}"
    if base not in {each.name for each in graph.initializer}:
        graph.initializer.append(numpy_helper.from_array(packed, base))
        graph.initializer.append(numpy_helper.from_array(scales, f"{base}_scales"))
    attributes = {
        "K": weight.shape[0],
        "N": weight.shape[1],
        "bits": bits,
        "block_size": block_size,
        "accuracy_level": ACCURACY_LEVEL,
    }
    inputs = [node.input[0], base, f"{base}_scales"]
    new = helper.make_node(
        "MatMulNBits",
        inputs,
        list(node.output),
        name=node.name,
        domain=DOMAIN,
        **attributes,
    )
    node.CopyFrom(new)


def quantize_blocks(weight: Array, *, bits: int, block_size: int) -> tuple[Array, Array]:
    """Quantize the weights of one product.

    Args:
        weight: float32, ``(n_inputs, n_outputs)``.
        bits: 4 or 8.
        block_size: weights that share a scale.

    Returns:
        uint8 ``(n_outputs, n_blocks, block_size * bits / 8)`` and float32 scales
        ``(n_outputs, n_blocks)``.
    """
    n_inputs, n_outputs = weight.shape
    n_blocks = -(-n_inputs // block_size)
    padded = np.zeros((n_outputs, n_blocks * block_size), dtype=np.float32)
    padded[:, :n_inputs] = weight.T
    blocks = padded.reshape(n_outputs, n_blocks, block_size)
    middle = 1 << (bits - 1)
    # The range has one more negative value: the largest weight of a block, with its sign, takes it.
    at = np.abs(blocks).argmax(axis=2)[..., np.newaxis]
    scales = np.take_along_axis(blocks, at, axis=2) / -middle
    steps = np.divide(blocks, scales, out=np.zeros_like(blocks), where=scales != 0)
    codes = np.clip(np.rint(steps) + middle, 0, 2 * middle - 1).astype(np.uint8)
    packed = codes if bits == 8 else codes[..., 0::2] | (codes[..., 1::2] << 4)  # noqa: PLR2004
    return np.ascontiguousarray(packed), scales[..., 0]
