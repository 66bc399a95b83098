"""The Whisper bundle: weights -> checkpoint -> float graphs -> quantized ones -> gate -> bundle.

An adapter, where there is one, is merged into the checkpoint before the graphs are made. The gate
holds the graphs against the published weights all the same.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_asr.recognizers.whisper_bundle import DECODER, ENCODER, TOKENIZER
from export.blocks import ACCURACY_LEVEL, BLOCK_SIZE
from export.bundle_writer import LICENCE, Contents, write_bundle
from export.gate import Originals, pass_gate
from export.recipe import Quantization
from export.steps import code_sha256, digest, make_once, versions
from export.whisper_manifest import whisper_capabilities, whisper_model
from export.whisper_quantize import quantize_whisper
from export.whisper_weights import whisper_checkpoint

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.bundle import Bundle
    from export.order import Order

FAMILY = "whisper"
_FACTS = "facts.json"
_CANDIDATES = "candidates"
STOCK_MARGIN = 300
"""Frames of 20 ms behind an utterance that published weights, without an adapter, are given."""


def build_whisper(order: Order, provenance: dict[str, Any]) -> None:
    """Build the bundle.

    Raises:
        SourceError: the weights cannot be had, are not what is pinned, or are no Whisper.
        ExportError: the graphs cannot be made.
        QualityError: the quality gate refuses them.
    """
    checkpoint = whisper_checkpoint(order.weights, order.workshop, order.reporter)
    adapted = _adapted(order, checkpoint)
    float_graphs = _float_graphs(order, adapted)
    graphs = _quantized_graphs(order, float_graphs)
    facts = json.loads((float_graphs / _FACTS).read_text(encoding="utf-8"))
    exported = _contents(order, adapted, float_graphs, provenance | facts)
    contents = _contents(order, adapted, graphs, provenance | facts)
    quality = pass_gate(
        order,
        Originals(published=checkpoint, exported=adapted),
        _candidate(order, exported, "float"),
        None if graphs == float_graphs else _candidate(order, contents, "quantized"),
    )
    with order.reporter.step("write the bundle"):
        write_bundle(replace(contents, quality=quality), order.target)
    shutil.rmtree(order.workshop / _CANDIDATES)


def _candidate(order: Order, contents: Contents, kind: str) -> Bundle:
    """Return a bundle for the gate alone: what a device would open."""
    return write_bundle(contents, order.workshop / _CANDIDATES / kind)


def _adapted(order: Order, checkpoint: Path) -> Path:
    """Return a checkpoint with the adapter merged; without one, the same."""
    if (adapter := order.adapter) is None:
        return checkpoint

    def make(part: Path) -> None:
        from export.whisper_adapter import write_adapted

        write_adapted(checkpoint, adapter.path, part)

    directory = order.workshop / "adapted"
    key = digest(_weights_key(order), code_sha256(FAMILY), versions())
    with order.reporter.step("merge the adapter for short windows"):
        make_once(directory, key, make)
    return directory


def _weights_key(order: Order) -> str:
    """Return a digest of what the weights are, the adapter among them."""
    return digest(order.weights.key, order.adapter and order.adapter.sha256)


def _float_graphs(order: Order, checkpoint: Path) -> Path:
    def make(part: Path) -> None:
        from export.embedding import halve_embedding
        from export.whisper_onnx import OPSET, export_graphs

        export_graphs(checkpoint, part)
        halved = halve_embedding(part / DECODER, whisper_model(checkpoint)["vocab_size"])
        facts = {"opset": OPSET, "embedding": "float16, lossless" if halved else "float32"}
        (part / _FACTS).write_text(json.dumps(facts), encoding="utf-8")

    directory = order.workshop / "float"
    with order.reporter.step("export the graphs through Optimum"):
        make_once(directory, digest(_weights_key(order), code_sha256(FAMILY), versions()), make)
    return directory


def _quantized_graphs(order: Order, float_graphs: Path) -> Path:
    if order.quantization is Quantization.NONE:
        return float_graphs
    directory = order.workshop / order.quantization
    key = digest(_weights_key(order), order.recipe.float_matmuls, code_sha256(FAMILY), versions())

    def make(part: Path) -> None:
        quantize_whisper(float_graphs, part, order.quantization, order.recipe.float_matmuls)

    with order.reporter.step(f"quantize them to {order.quantization}"):
        make_once(directory, key, make)
    return directory


def _contents(
    order: Order,
    checkpoint: Path,
    graphs: Path,
    provenance: dict[str, Any],
) -> Contents:
    margin = STOCK_MARGIN if order.adapter is None else order.adapter.margin
    model = whisper_model(checkpoint) | {"window": {"margin": margin}}
    adapter = {} if order.adapter is None else {"adapter": order.adapter.record}
    return Contents(
        name=order.recipe.name,
        family=FAMILY,
        licence=order.recipe.licence,
        files={
            ENCODER: graphs / ENCODER,
            DECODER: graphs / DECODER,
            TOKENIZER: checkpoint / TOKENIZER,
            LICENCE: order.licence_file,
        },
        source=order.weights.record | adapter,
        export=provenance | {"quantization": _quantization(order)},
        model=model,
        capabilities=whisper_capabilities(model),
        quality={},
    )


def _quantization(order: Order) -> dict[str, Any]:
    """Return what the manifest says of the quantization."""
    int8 = {"weights": "int8, one scale per column", "activations": "uint8, scaled at run time"}
    by_row = {"weights": int8["weights"], "activations": "uint8, scaled at run time row by row"}
    blocks = {
        "weights": f"int4, symmetric, one scale per {BLOCK_SIZE}; output projection int8, the same",
        "accuracy_level": ACCURACY_LEVEL,
    }
    head = f"int4, symmetric, one scale per {BLOCK_SIZE}"
    graphs: dict[Quantization, dict[str, Any]] = {
        Quantization.NONE: {},
        Quantization.INT8: {"encoder": by_row, "decoder": int8 | {"output projection": head}},
        Quantization.INT4: {"encoder": by_row, "decoder": blocks},
    }
    kept = {"float_matmuls": order.recipe.float_matmuls} if order.recipe.float_matmuls else {}
    return {"scheme": str(order.quantization), **graphs[order.quantization], **kept}
