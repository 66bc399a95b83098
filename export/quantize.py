"""Smaller weights: the project's own choice of what to quantize, and how.

docs/quantization.md has the figures that these choices rest on.

* int8: every matrix product with constant weights, weights signed with one scale per column,
  activations unsigned and scaled at run time (U8S8, what VNNI, AMX and SDOT compute), in the
  encoder row by row. Convolutions stay float: they are a few percent of the work, and their integer
  kernels are slower.
* int4: the decoder's products in blocks of 32 with one scale each, computed with int8 activations
  (accuracy level 4); its output projection, which decides between words, in 8 bits; the encoder as
  in int8, because 4 bits there make Whisper-like models fail.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from edge_asr.recognizers.whisper import DECODER, ENCODER
from export.blocks import to_blocks
from export.errors import RecipeError
from export.recipe import Quantization
from export.rows import scale_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


_HEAD = "/head/MatMul"
"""The decoder's output projection."""


def quantize_graphs(
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
        for name in (ENCODER, DECODER):
            shutil.copyfile(source / name, target / name)
        return
    with tempfile.TemporaryDirectory(dir=target) as directory:
        scaled = Path(directory) / ENCODER
        scale_rows(source / ENCODER, scaled)
        to_int8(scaled, target / ENCODER, _below("encoder", float_matmuls))
    if quantization is Quantization.INT8:
        to_int8(source / DECODER, target / DECODER, _below("decoder", float_matmuls))
    else:
        to_blocks(source / DECODER, target / DECODER, bits=4, eight_bit=[_HEAD])


def _below(graph: str, names: Sequence[str]) -> list[str]:
    """Return the names that belong to ``graph``, without its own."""
    return [name.removeprefix(graph) for name in names if name.startswith(f"{graph}/")]


def to_int8(source: Path, target: Path, float_matmuls: Sequence[str] = ()) -> None:
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
            nodes_to_exclude=_named(source, float_matmuls),
        )


def _named(source: Path, names: Sequence[str]) -> list[str]:
    """Return the nodes of the products called ``names``."""
    graph = onnx.load(source, load_external_data=False).graph
    products = {node.name for node in graph.node if node.op_type == "MatMul"}
    nodes = [f"{name}/MatMul" for name in names]
    if missing := [node for node in nodes if node not in products]:
        raise RecipeError(f"float_matmuls: {source.stem} has no product {missing[0]}")
    return nodes


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxruntime's quantizers, which log every product and advise on static models."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
