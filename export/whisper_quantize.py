"""Smaller weights for Whisper: dynamic int8, with a scale for each row of the encoder.

Behind Whisper's GELUs activations reach far above zero and hardly below it. onnxruntime's dynamic
int8 measures that and uses all 256 codes; the symmetric codes of :mod:`export.rows`, which Granite
needs for its drafts to be exact, use half of them there, and cost whisper-base a point of WER. But
dynamic int8 has one scale for a whole window, and a few frames have activations far beyond the
others'. Dividing each row by its largest magnitude before the product, and multiplying the result
by it, changes nothing in exact arithmetic and gives every frame its own scale. The decoder's steps
have a single row and need none of it.

A step of the decoder takes as long as its weights take to come from memory, and more than half of
them are the output projection's. In blocks of 4 bits, each with a scale, it comes in half the time;
between the tokens that it finds likely the token table decides (:mod:`export.candidates`).
"""

from __future__ import annotations

import logging
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import helper, numpy_helper

from edge_asr.recognizers.whisper_bundle import DECODER, ENCODER
from export.blocks import InBlocks
from export.candidates import decide_by_table
from export.quantize import Graphs, below, named, quantize_graphs, to_blocks
from export.recipe import Quantization
from export.rewriting import rewrite_products
from export.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_HEAD = "/head"
"""The decoder's output projection."""
_PROJECTION = f"{_HEAD}/MatMul"
_HEAD_BLOCK = 128
"""Weights that share a scale: as few scales as divide the width of every Whisper. Where the table
decides, larger blocks hear the same words."""
_SMALLEST = 1e-6
"""Stands for the largest magnitude of a row of zeros."""


def quantize_whisper(
    source: Path,
    target: Path,
    quantization: Quantization,
    float_matmuls: Sequence[str] = (),
) -> None:
    """Quantize both graphs of a Whisper.

    Args:
        source: folder with the float graphs.
        target: folder to write the quantized ones to, which exists.
        quantization: how.
        float_matmuls: products that stay float in int8, such as
            ``encoder/layers.3/feed_forward/down``.

    Raises:
        RecipeError: ``float_matmuls`` names a product that the graphs do not have.
    """
    if quantization is Quantization.NONE:
        quantize_graphs(source, target, Graphs(ENCODER, DECODER), quantization)
        return
    with tempfile.TemporaryDirectory(dir=target) as directory:
        scaled = Path(directory) / ENCODER
        scale_rows(source / ENCODER, scaled)
        to_dynamic_int8(scaled, target / ENCODER, below("encoder", float_matmuls))
        in_decoder = below("decoder", float_matmuls)
        if quantization is Quantization.INT4:
            to_blocks(source / DECODER, target / DECODER)
        else:
            small_head = Path(directory) / DECODER
            shrink_head(source / DECODER, small_head, in_decoder)
            others = [each for each in in_decoder if each != _HEAD]
            to_dynamic_int8(small_head, target / DECODER, others)
    if quantization is Quantization.INT4 or _HEAD not in in_decoder:
        decide_by_table(target / DECODER, _PROJECTION)


def shrink_head(source: Path, target: Path, float_matmuls: Sequence[str] = ()) -> None:
    """Quantize a decoder's output projection, and nothing else, to blocks of 4 bits.

    Raises:
        RecipeError: ``float_matmuls`` names a product that the graph does not have.
    """
    named(source, float_matmuls)
    head = [] if _HEAD in float_matmuls else [_PROJECTION]
    others = {node.name for node in Weights(source).model.graph.node} - {*head}
    rewrite_products(source, target, InBlocks(4, block_size=_HEAD_BLOCK), kept=others)


def to_dynamic_int8(source: Path, target: Path, float_matmuls: Sequence[str] = ()) -> None:
    """Quantize one graph's matrix products to 8 bit, activations at run time.

    Raises:
        RecipeError: ``float_matmuls`` names a product that the graph does not have.
    """
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _quiet():
        quantize_dynamic(
            source,
            target,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=named(source, float_matmuls),
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxruntime's quantizers, which log every product and advise on static models."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


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
