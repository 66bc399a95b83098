"""The bundle of a text model: checkpoint -> float graph -> quantized one -> gate -> bundle."""

from __future__ import annotations

import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_asr.bundle import Capabilities
from edge_asr.recognizers.text import DECODER, FAMILY, TOKENIZER
from edge_asr.records import Task
from export.blocks import ACCURACY_LEVEL, BLOCK_SIZE, InBlocks
from export.bundle_writer import LICENCE, Contents, write_bundle
from export.embedding import halve_embedding
from export.errors import RecipeError
from export.recipe import Quantization
from export.rewriting import rewrite_products
from export.source import fetch
from export.steps import code_sha256, digest, make_once, versions
from export.text_checkpoint import convert_gguf, find_gguf
from export.text_gate import pass_text_gate
from export.text_manifest import text_model
from export.weights import DATA_SUFFIX

if TYPE_CHECKING:
    from pathlib import Path

    from export.order import Order

_CANDIDATES = "candidates"
_HEAD = "/lm_head/MatMul"
"""The output projection, which decides between words: never less than 8 bits."""


def build_text(order: Order, provenance: dict[str, Any]) -> None:
    """Build the bundle.

    Raises:
        SourceError: the weights cannot be had, are not what is pinned, or are no text model.
        RecipeError: the recipe keeps products in float, which is for speech models.
        ExportError: the graph cannot be made.
        QualityError: the quality gate refuses it.
    """
    if order.recipe.float_matmuls:
        raise RecipeError(f"recipe {order.recipe.name}: a text model has no float_matmuls")
    checkpoint = _checkpoint(order)
    model = text_model(checkpoint)
    exported = _float_graph(order, checkpoint)
    graphs = _quantized_graph(order, exported, model["vocab_size"])
    contents = _contents(order, checkpoint, graphs, model, provenance)
    candidates = {
        "float": write_bundle(
            _contents(order, checkpoint, exported, model, provenance),
            order.workshop / _CANDIDATES / "float",
        )
    }
    if graphs != exported:
        target = order.workshop / _CANDIDATES / "quantized"
        candidates["quantized"] = write_bundle(contents, target)
    quality = pass_text_gate(order, checkpoint, candidates)
    with order.reporter.step("write the bundle"):
        write_bundle(replace(contents, quality=quality), order.target)
    shutil.rmtree(order.workshop / _CANDIDATES)


def _checkpoint(order: Order) -> Path:
    """Return a Transformers checkpoint. A folder that was named is read where it is."""
    if order.weights.folder is not None:
        return order.weights.folder
    fetched, checkpoint = order.workshop / "source", order.workshop / "checkpoint"
    with order.reporter.step("fetch and verify the weights"):
        make_once(fetched, order.weights.key, lambda part: fetch(order.weights, part))
    file = find_gguf(fetched)
    if file is None:
        return fetched
    key = digest(order.weights.key, code_sha256(FAMILY), versions())
    with order.reporter.step("read the GGUF file with Transformers"):
        make_once(checkpoint, key, lambda part: convert_gguf(file, part))
    return checkpoint


def _float_graph(order: Order, checkpoint: Path) -> Path:
    def make(part: Path) -> None:
        from export.text_onnx import export_graph

        export_graph(checkpoint, part)

    directory = order.workshop / "float"
    with order.reporter.step("export the graph through Optimum"):
        make_once(directory, digest(order.weights.key, code_sha256(FAMILY), versions()), make)
    return directory


def _quantized_graph(order: Order, exported: Path, vocab_size: int) -> Path:
    if order.quantization is Quantization.NONE:
        return exported
    directory = order.workshop / order.quantization
    key = digest(order.weights.key, code_sha256(FAMILY), versions())

    def make(part: Path) -> None:
        quantize_text(exported, part, order.quantization, vocab_size=vocab_size)

    with order.reporter.step(f"quantize it to {order.quantization}"):
        make_once(directory, key, make)
    return directory


def quantize_text(
    source: Path, target: Path, quantization: Quantization, *, vocab_size: int
) -> None:
    """Quantize the graph, and round the table of embeddings to float16.

    Both widths are in blocks: text models give a few activations hundreds of times the size of the
    others, and with one scale for a row these decide how coarsely all others are rounded. The
    table of a graph that is too large for one file stays in float32.

    Args:
        source: folder with the float graph.
        target: folder to write to, which exists.
        quantization: int8 or int4.
        vocab_size: rows of the table.
    """
    blocks = InBlocks(8) if quantization is Quantization.INT8 else InBlocks(4, eight_bit=[_HEAD])
    rewrite_products(source / DECODER, target / DECODER, blocks)
    if not (target / f"{DECODER}{DATA_SUFFIX}").is_file():
        halve_embedding(target / DECODER, vocab_size, exactly=False)


def _contents(
    order: Order, checkpoint: Path, graphs: Path, model: dict[str, Any], provenance: dict[str, Any]
) -> Contents:
    # Optimum names the file of a large graph's weights after it, as the quantizer does.
    beside = sorted(graphs.glob(f"{DECODER}_*"))
    return Contents(
        name=order.recipe.name,
        family=FAMILY,
        licence=order.recipe.licence,
        files={
            DECODER: graphs / DECODER,
            **{file.name: file for file in beside},
            TOKENIZER: checkpoint / TOKENIZER,
            LICENCE: order.licence_file,
        },
        source=order.weights.record,
        export=provenance | {"quantization": _quantization(order)},
        model=model,
        capabilities=Capabilities(tasks=[Task.POLISH], confidence=True),
        quality={},
    )


def _quantization(order: Order) -> dict[str, Any]:
    """Return what the manifest says of the quantization."""
    rest = {Quantization.INT8: "", Quantization.INT4: "; output projection int8"}
    if order.quantization is Quantization.NONE:
        return {"scheme": str(order.quantization)}
    return {
        "scheme": str(order.quantization),
        "weights": f"{order.quantization}, symmetric, one scale per {BLOCK_SIZE}"
        + rest[order.quantization],
        "accuracy_level": ACCURACY_LEVEL,
        "embedding": "float16",
    }
