"""One activation scale for each row, where onnxruntime's dynamic int8 has one for all rows.

Whisper's encoder gives a few frames activations far beyond the others'. With one scale for a whole
window, those few decide how coarsely every other frame is rounded. Dividing each row by its largest
magnitude before the product, and multiplying the result by it, changes nothing in exact arithmetic
and gives every frame its own scale. The decoder's steps have a single row and need none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

_SMALLEST = 1e-6
"""Stands for the largest magnitude of a row of zeros."""


def scale_rows(source: Path, target: Path) -> None:
    """Put a scale for each row around every product with constant weights.

    Args:
        source: a float graph.
        target: where the graph with scaled rows goes; it computes the same.
    """
    model = onnx.load(source)
    graph = model.graph
    constants = {each.name for each in graph.initializer}
    graph.initializer.append(numpy_helper.from_array(np.float32(_SMALLEST), "row_smallest"))
    graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), "row_axis"))
    nodes: list[onnx.NodeProto] = []
    scaled: set[str] = set()
    for node in graph.node:
        if node.op_type != "MatMul" or node.input[1] not in constants:
            nodes.append(node)
            continue
        rows = node.input[0]
        if rows not in scaled:  # products may share their input, as cross-attention's do
            nodes += _scaling(rows)
            scaled.add(rows)
        nodes += _around(node)
    # The container owns its nodes: they are copied before it is emptied.
    ordered = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(ordered)
    onnx.save(model, target)


def _scaling(rows: str) -> list[onnx.NodeProto]:
    """Return the nodes that make ``<rows>_scale`` and ``<rows>_scaled``."""
    return [
        _node("Abs", [rows], f"{rows}_magnitude"),
        _node("ReduceMax", [f"{rows}_magnitude", "row_axis"], f"{rows}_largest"),
        _node("Max", [f"{rows}_largest", "row_smallest"], f"{rows}_scale"),
        _node("Div", [rows, f"{rows}_scale"], f"{rows}_scaled"),
    ]


def _node(operator: str, inputs: list[str], output: str) -> onnx.NodeProto:
    """Return a node named after what it makes; reductions keep their axis by default."""
    return helper.make_node(operator, inputs, [output], name=output)


def _around(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    """Return the product over scaled rows, and what undoes the scaling."""
    rows, result = node.input[0], node.output[0]
    product = onnx.NodeProto.FromString(node.SerializeToString())
    product.input[0], product.output[0] = f"{rows}_scaled", f"{result}_scaled"
    return [product, _node("Mul", [product.output[0], f"{rows}_scale"], result)]
