"""The Granite Speech bundle: checkpoint -> float graphs -> quantized ones -> gate -> bundle."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from export.blocks import ACCURACY_LEVEL
from export.bundle_writer import LICENCE, Contents, write_bundle
from export.granite_gate import pass_granite_gate
from export.granite_manifest import (
    DECODER,
    EMBEDDING,
    ENCODER,
    TOKENIZER,
    granite_capabilities,
    granite_model,
)
from export.quantize import Graphs, quantize_graphs
from export.recipe import Quantization
from export.source import fetch
from export.steps import code_sha256, digest, make_once, versions
from export.weights import DATA_SUFFIX

if TYPE_CHECKING:
    from pathlib import Path

    from export.order import Order

FAMILY = "granite"
_BLOCK_SIZE = 128
"""Weights that share a scale in int4: four times as many as Whisper's, to fit into 2 GB of memory;
what that loses, fitted scales give back in part (docs/quantization.md)."""
_ROWS_TOGETHER = 2
"""onnxruntime's kernels for blocks compute rows in pairs, and a single one in another order."""
_FACTS = "facts.json"


def build_granite(order: Order, provenance: dict[str, Any]) -> None:
    """Build the bundle.

    Raises:
        SourceError: the weights cannot be had, are not what is pinned, or are no Granite Speech.
        RecipeError: the recipe's prompts do not fit the model.
        ExportError: the graphs cannot be made.
        QualityError: the quality gate refuses them.
    """
    checkpoint = _checkpoint(order)
    model = granite_model(checkpoint, order.recipe)
    if order.quantization is Quantization.INT4:
        model["rows_together"] = _ROWS_TOGETHER
    float_graphs = _float_graphs(order, checkpoint)
    graphs = _quantized_graphs(order, float_graphs)
    quality = pass_granite_gate(order, checkpoint, model, float_graphs, graphs)
    facts = json.loads((float_graphs / _FACTS).read_text(encoding="utf-8"))
    contents = Contents(
        name=order.recipe.name,
        family=FAMILY,
        licence=order.recipe.licence,
        files=_files(order, checkpoint, graphs),
        source=order.weights.record,
        export=provenance | facts | {"quantization": _quantization(order)},
        model=model,
        capabilities=granite_capabilities(order.recipe),
        quality=quality,
    )
    with order.reporter.step("write the bundle"):
        write_bundle(contents, order.target)


def _checkpoint(order: Order) -> Path:
    """Return the checkpoint. A folder that was named is read where it is: it is 5 GB."""
    if order.weights.folder is not None:
        return order.weights.folder
    fetched = order.workshop / "source"
    with order.reporter.step("fetch and verify the weights"):
        make_once(fetched, order.weights.key, lambda part: fetch(order.weights, part))
    return fetched


def _float_graphs(order: Order, checkpoint: Path) -> Path:
    def make(part: Path) -> None:
        from export.granite_checkpoint import write_embedding
        from export.granite_onnx import OPSET, export_graphs

        facts = write_embedding(checkpoint, part / EMBEDDING)
        export_graphs(checkpoint, part)
        (part / _FACTS).write_text(json.dumps({"opset": OPSET} | facts), encoding="utf-8")

    directory = order.workshop / "float"
    with order.reporter.step("export the graphs through Optimum"):
        make_once(directory, digest(order.weights.key, code_sha256(FAMILY), versions()), make)
    return directory


def _quantized_graphs(order: Order, float_graphs: Path) -> Path:
    if order.quantization is Quantization.NONE:
        return float_graphs
    directory = order.workshop / order.quantization
    key = digest(order.weights.key, order.recipe.float_matmuls, code_sha256(FAMILY), versions())

    def make(part: Path) -> None:
        quantize_granite(float_graphs, part, order.quantization, order.recipe.float_matmuls)

    with order.reporter.step(f"quantize them to {order.quantization}"):
        make_once(directory, key, make)
    return directory


def quantize_granite(
    source: Path, target: Path, quantization: Quantization, float_matmuls: list[str]
) -> None:
    """Quantize both graphs; the encoder never to less than 8 bit, which ruins it.

    Args:
        source: folder with the float graphs and the embedding.
        target: folder to write to, which exists.
        quantization: int8 or int4, of the decoder.
        float_matmuls: products that stay float in int8, such as ``encoder/ctc``.

    Raises:
        RecipeError: ``float_matmuls`` names a product that the graphs do not have.
    """
    graphs = Graphs(ENCODER, DECODER)
    quantize_graphs(
        source, target, graphs, quantization, float_matmuls, block_size=_BLOCK_SIZE, fitted=True
    )
    shutil.copyfile(source / EMBEDDING, target / EMBEDDING)


def _files(order: Order, checkpoint: Path, graphs: Path) -> dict[str, Path]:
    """Return what goes into the bundle, by name."""
    names = [ENCODER, DECODER, EMBEDDING]
    names += [
        f"{name}{DATA_SUFFIX}" for name in names if (graphs / f"{name}{DATA_SUFFIX}").is_file()
    ]
    return {
        **{name: graphs / name for name in names},
        TOKENIZER: checkpoint / TOKENIZER,
        LICENCE: order.licence_file,
    }


def _quantization(order: Order) -> dict[str, Any]:
    """Return what the manifest says of the quantization."""
    int8 = {
        "weights": "int8, one scale per column",
        "activations": "uint8, scaled at run time row by row",
        "float_matmuls": order.recipe.float_matmuls,
    }
    blocks = {
        "weights": f"int4, symmetric, one fitted scale per {_BLOCK_SIZE}; output projection int8",
        "accuracy_level": ACCURACY_LEVEL,
    }
    graphs: dict[Quantization, dict[str, Any]] = {
        Quantization.NONE: {},
        Quantization.INT8: {"encoder": int8, "decoder": int8},
        Quantization.INT4: {"encoder": int8, "decoder": blocks},
    }
    return {"scheme": str(order.quantization), **graphs[order.quantization]}
