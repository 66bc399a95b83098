"""Stores the token embedding in float16 where that loses nothing.

It is the largest table of a small Whisper, and it is there twice: once to look tokens up, once,
transposed, as the output projection. The published weights are float16, so float32 would store
zeros.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path


def halve_embedding(path: Path, vocab_size: int, *, exactly: bool = True) -> bool:
    """Store the embedding of the graph at ``path`` in float16, if every value of it fits.

    Args:
        path: a float graph; it is rewritten.
        vocab_size: rows of the embedding.
        exactly: not if a value would be rounded.

    Returns:
        Whether it was done.
    """
    model = onnx.load(path)
    lookup = _find_lookup(model.graph, vocab_size)
    if lookup is None:
        return False
    table = next(each for each in model.graph.initializer if each.name == lookup.input[0])
    full = numpy_helper.to_array(table)
    with np.errstate(over="ignore"):
        half = full.astype(np.float16)
    if not np.isfinite(half).all() or (exactly and not np.array_equal(half, full)):
        return False
    halved = numpy_helper.from_array(half, f"{table.name}_float16")
    found = f"{lookup.output[0]}_float16"
    widen = helper.make_node(
        "Cast",
        [found],
        [lookup.output[0]],
        name=f"{lookup.name}_widen",
        to=onnx.TensorProto.FLOAT,
    )
    lookup.input[0], lookup.output[0] = halved.name, found
    model.graph.node.insert(list(model.graph.node).index(lookup) + 1, widen)
    model.graph.initializer.append(halved)
    if not any(table.name in node.input for node in model.graph.node):
        model.graph.initializer.remove(table)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return True


def _find_lookup(graph: onnx.GraphProto, vocab_size: int) -> onnx.NodeProto | None:
    """Return the node that looks rows up in a float32 table of ``vocab_size`` rows."""
    tables = {
        each.name
        for each in graph.initializer
        if len(each.dims) == 2  # noqa: PLR2004
        and each.dims[0] == vocab_size
        and each.data_type == onnx.TensorProto.FLOAT
    }
    return next(
        (node for node in graph.node if node.op_type == "Gather" and node.input[0] in tables),
        None,
    )
