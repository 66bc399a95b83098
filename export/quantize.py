"""Smaller weights: the project's own choice of what to quantize, and how.

docs/quantization.md has the figures that these choices rest on.

* int8: every matrix product with constant weights, weights signed with one scale per column,
  activations unsigned and scaled at run time (U8S8, what VNNI, AMX and SDOT compute). Convolutions
  stay float: they are a few percent of the work, and their integer kernels are slower.
* int4: the decoder's products in blocks of 32 with one scale each, computed with int8 activations
  (accuracy level 4); the encoder as in int8, because 4 bits there make Whisper-like models fail.
"""

from __future__ import annotations

import logging
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING

import onnx

from edge_asr.recognizers.whisper import DECODER, ENCODER
from export.blocks import to_blocks
from export.recipe import Quantization

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path


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
        float_matmuls: products whose name contains one of these stay float in int8.
    """
    if quantization is Quantization.NONE:
        for name in (ENCODER, DECODER):
            shutil.copyfile(source / name, target / name)
        return
    to_int8(source / ENCODER, target / ENCODER, float_matmuls)
    if quantization is Quantization.INT8:
        to_int8(source / DECODER, target / DECODER, float_matmuls)
    else:
        to_blocks(source / DECODER, target / DECODER, bits=4)


def to_int8(source: Path, target: Path, float_matmuls: Sequence[str] = ()) -> None:
    """Quantize one graph's matrix products to 8 bit, activations at run time."""
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


def _named(source: Path, parts: Sequence[str]) -> list[str]:
    graph = onnx.load(source, load_external_data=False).graph
    products = [node.name for node in graph.node if node.op_type == "MatMul"]
    return [name for name in products if any(part in name for part in parts)]


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence onnxruntime's quantizers, which log every product and advise on static models."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
