"""Smaller weights: the project's own choice of what to quantize, and how.

docs/quantization.md has the figures that these choices rest on.

* int8: every matrix product with constant weights, one scale for each column of weights and one for
  each row of activations (:mod:`export.rows`). Convolutions stay float: they are a few percent of
  the work, and their integer kernels are slower.
* int4: the decoder's products in blocks with one scale each, computed with int8 activations
  (accuracy level 4); its output projection, which decides between words, in 8 bits; the encoder as
  in int8, because 4 bits there make Whisper-like models fail.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.blocks import BLOCK_SIZE, InBlocks
from export.errors import RecipeError
from export.recipe import Quantization
from export.rewriting import is_product, rewrite_products
from export.rows import ByRows
from export.weights import DATA_SUFFIX, LARGE_GRAPH, Weights

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_HEAD = "/head/MatMul"
"""The decoder's output projection."""


@dataclass(frozen=True, slots=True)
class Graphs:
    """File names of a family's encoder and decoder."""

    encoder: str
    decoder: str


def quantize_graphs(
    source: Path,
    target: Path,
    graphs: Graphs,
    quantization: Quantization,
    float_matmuls: Sequence[str] = (),
    *,
    block_size: int = BLOCK_SIZE,
    fitted: bool = False,
) -> None:
    """Quantize an encoder and a decoder; the encoder never to less than 8 bits.

    Args:
        source: folder with the float graphs.
        target: folder to write the quantized ones to, which exists.
        graphs: what they are called.
        quantization: how.
        float_matmuls: products that stay float in int8, such as
            ``encoder/layers.3/feed_forward/down``.
        block_size: weights that share a scale in int4.
        fitted: see :func:`export.blocks.quantize_blocks`.

    Raises:
        RecipeError: ``float_matmuls`` names a product that the graphs do not have.
    """
    if quantization is Quantization.NONE:
        for name in (graphs.encoder, graphs.decoder):
            _copy(source / name, target / name)
        return
    to_int8(source / graphs.encoder, target / graphs.encoder, below("encoder", float_matmuls))
    decoder = (source / graphs.decoder, target / graphs.decoder)
    if quantization is Quantization.INT8:
        to_int8(*decoder, below("decoder", float_matmuls))
    else:
        to_blocks(*decoder, block_size=block_size, fitted=fitted)


def _copy(source: Path, target: Path) -> None:
    for suffix in ("", DATA_SUFFIX):
        if (file := source.with_name(source.name + suffix)).is_file():
            shutil.copyfile(file, target.with_name(target.name + suffix))


def below(graph: str, names: Sequence[str]) -> list[str]:
    """Return the names that belong to ``graph``, without its own."""
    return [name.removeprefix(graph) for name in names if name.startswith(f"{graph}/")]


def to_blocks(
    source: Path, target: Path, *, block_size: int = BLOCK_SIZE, fitted: bool = False
) -> None:
    """Quantize a decoder's products to blocks of 4 bits, its output projection to 8."""
    blocks = InBlocks(4, block_size=block_size, eight_bit=[_HEAD], fitted=fitted)
    rewrite_products(source, target, blocks)


def to_int8(
    source: Path,
    target: Path,
    float_matmuls: Sequence[str] = (),
    *,
    large_graph: int = LARGE_GRAPH,
) -> None:
    """Quantize one graph's matrix products to 8 bit, activations at run time.

    Args:
        source: a float graph.
        target: where the quantized one goes.
        float_matmuls: products that stay float, such as ``/ctc``.
        large_graph: see :func:`export.rewriting.rewrite_products`.

    Raises:
        RecipeError: ``float_matmuls`` names a product that the graph does not have.
    """
    kept = named(source, float_matmuls)
    rewrite_products(source, target, ByRows(), kept=kept, large_graph=large_graph)


def named(source: Path, names: Sequence[str]) -> list[str]:
    """Return the nodes of the products called ``names``."""
    if not names:
        return []
    weights = Weights(source)
    products = {node.name for node in weights.model.graph.node if is_product(node, weights)}
    nodes = [f"{name}/MatMul" for name in names]
    if missing := [node for node in nodes if node not in products]:
        raise RecipeError(f"float_matmuls: {source.stem} has no product {missing[0]}")
    return nodes
