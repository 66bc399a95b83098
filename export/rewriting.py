"""Rewrites a stored graph's matrix products with constant weights, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import onnx
from onnx import helper

from export.weights import LARGE_GRAPH, Weights, WeightWriter

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from export.weights import Array

DOMAIN = "com.microsoft"
"""Of onnxruntime's own operators."""
_DOMAIN_VERSION = 1


class Rewrite(Protocol):
    """How products are computed instead."""

    def __call__(
        self, product: onnx.NodeProto, weight: Array, writer: WeightWriter
    ) -> list[onnx.NodeProto]:
        """Return the nodes that stand for ``product``, and give their constants to ``writer``.

        Several products may have the same input or the same weight.
        """


def rewrite_products(
    source: Path,
    target: Path,
    rewrite: Rewrite,
    *,
    kept: Collection[str] = (),
    large_graph: int = LARGE_GRAPH,
) -> None:
    """Write ``source`` to ``target`` with other nodes for its products.

    Args:
        source: a float graph.
        target: where the other goes; the weights of a large one lie beside it.
        rewrite: what to do with each ``MatMul`` by a constant matrix.
        kept: names of nodes that stay as they are.
        large_graph: bytes of weights in ``source`` that make it a large one.
    """
    weights = Weights(source)
    model = weights.model
    with WeightWriter(target, beside=weights.total_bytes() >= large_graph) as writer:
        nodes: list[onnx.NodeProto] = []
        for node in model.graph.node:
            if node.name in kept or not is_product(node, weights):
                nodes.append(node)
            else:
                nodes += rewrite(node, weights.read(node.input[1]), writer)
        _replace_nodes(model.graph, nodes)
        used = {name for node in model.graph.node for name in node.input}
        for constant in model.graph.initializer:
            if constant.name in used:
                writer.add(constant.name, weights.read(constant.name))
        if DOMAIN not in {opset.domain for opset in model.opset_import}:
            model.opset_import.append(helper.make_opsetid(DOMAIN, _DOMAIN_VERSION))
        writer.save(model)


def is_product(node: onnx.NodeProto, weights: Weights) -> bool:
    """Return whether a node is a product with a constant matrix."""
    if node.op_type != "MatMul" or node.input[1] not in weights:
        return False
    return len(weights.shape(node.input[1])) == 2  # noqa: PLR2004 (a matrix)


def _replace_nodes(graph: onnx.GraphProto, nodes: list[onnx.NodeProto]) -> None:
    # The container owns its nodes: they are copied before it is emptied.
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    del graph.node[:]
    graph.node.extend(copies)
