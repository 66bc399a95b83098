"""The Silero bundle: its published graph, unchanged."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.bundle import Capabilities
from edge_asr.sessions import Session, tensor
from export.bundle_writer import LICENCE, Contents, write_bundle
from export.errors import QualityError, SourceError
from export.source import fetch
from export.steps import make_once

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from export.order import Order

FAMILY = "silero-vad"
GRAPH = "silero_vad_16k_sequence.onnx"
FRAME_SAMPLES = 512
CONTEXT_SAMPLES = 64
_STATE_SHAPE = (1, 1, 128)
_MAX_SILENCE_PROBABILITY = 0.1


def build_silero(order: Order, provenance: dict[str, Any]) -> None:
    """Build the bundle.

    Raises:
        SourceError: the graph cannot be had, or is not what is pinned.
        QualityError: the graph does not do what it should.
    """
    with order.reporter.step("fetch the graph"):
        fetched = order.workshop / "source"
        make_once(fetched, order.weights.key, lambda part: fetch(order.weights, part))
    graph = fetched / GRAPH
    if not graph.is_file():
        raise SourceError(f"the recipe {order.recipe.name} does not name the file {GRAPH}")
    contents = Contents(
        name=order.recipe.name,
        family=FAMILY,
        licence=order.recipe.licence,
        files={GRAPH: graph, LICENCE: order.licence_file},
        source=order.weights.record,
        export=provenance,
        model={
            "sample_rate": 16_000,
            "frame_samples": FRAME_SAMPLES,
            "context_samples": CONTEXT_SAMPLES,
        },
        capabilities=Capabilities(),
        quality={"silence_probability": _silence_probability(graph)},
    )
    write_bundle(contents, order.target)


def _silence_probability(graph: Path) -> float:
    """Run the graph over half a second of silence and return the highest speech probability."""
    n_frames = 16
    inputs = {
        "input": np.zeros((n_frames, CONTEXT_SAMPLES + FRAME_SAMPLES), dtype=np.float32),
        "h": np.zeros(_STATE_SHAPE, dtype=np.float32),
        "c": np.zeros(_STATE_SHAPE, dtype=np.float32),
    }
    outputs = Session(graph, n_threads=1).run(
        {name: tensor(array) for name, array in inputs.items()},
        ["speech_probs", "hn", "cn"],
    )
    highest = float(outputs["speech_probs"].numpy().max())
    if not highest <= _MAX_SILENCE_PROBABILITY:
        raise QualityError(f"{graph.name}: takes silence for speech (probability {highest:.2f})")
    return round(highest, 6)
