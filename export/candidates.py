"""A rough output projection finds the candidates, the token table decides between them.

In blocks of 4 bits an output projection is fast, but of two likely tokens it may take the wrong
one. Where the same matrix is there as the table that tokens are looked up in, unrounded, the few
best logits cost a few rows of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

N_CANDIDATES = 8
"""How many tokens are looked at once more."""


def decide_by_table(path: Path, head: str) -> None:
    """Compute the largest logits of a graph once more, from its token table.

    Args:
        path: a decoder with inputs ``input_ids`` and ``logit_bias`` whose output projection is the
            transposed token table; it is rewritten.
        head: name of the node that makes ``logits``.

    Raises:
        ValueError: the graph looks no tokens up.
    """
    model = onnx.load(path)
    graph = model.graph
    projection = next(node for node in graph.node if node.name == head)
    hidden, logits = projection.input[0], projection.output[0]
    projection.output[0] = f"{logits}_rough"
    constants = {"candidates_count": N_CANDIDATES, "candidates_axis": -1}
    for name, value in constants.items():
        graph.initializer.append(numpy_helper.from_array(np.array([value], np.int64), name))
    place = list(graph.node).index(projection) + 1
    for node in reversed(_deciding(_token_table(graph), hidden, logits)):
        graph.node.insert(place, node)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def _token_table(graph: onnx.GraphProto) -> str:
    for node in graph.node:
        if node.op_type == "Gather" and node.input[1] == "input_ids":
            table: str = node.input[0]
            return table
    raise ValueError("the graph looks no tokens up")


def _deciding(table: str, hidden: str, logits: str) -> list[onnx.NodeProto]:
    """Return the nodes that make ``logits`` from what is named so and ``_rough``."""
    rough = f"{logits}_rough"
    return [
        # What may not come need not be looked at.
        helper.make_node("Add", [rough, "logit_bias"], ["candidates_rough"]),
        helper.make_node(
            "TopK",
            ["candidates_rough", "candidates_count"],
            ["candidates_best", "candidates"],
            sorted=0,
        ),
        helper.make_node("Gather", [table, "candidates"], ["candidates_stored"]),
        helper.make_node("Cast", ["candidates_stored"], ["candidates_rows"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", [hidden, "candidates_axis"], ["candidates_hidden"]),
        helper.make_node("MatMul", ["candidates_rows", "candidates_hidden"], ["candidates_column"]),
        helper.make_node("Squeeze", ["candidates_column", "candidates_axis"], ["candidates_exact"]),
        helper.make_node(
            "ScatterElements", [rough, "candidates", "candidates_exact"], [logits], axis=-1
        ),
    ]
