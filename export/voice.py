"""The voice encoder's bundle: Resemblyzer's network, out of its wheel, as one graph."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.bundle import Capabilities
from edge_asr.recognizers.voice import FAMILY, GRAPH, MODEL, N_MELS, WINDOW_FRAMES
from edge_asr.sessions import Session, tensor
from export.bundle_writer import LICENCE, Contents, write_bundle
from export.errors import QualityError, SourceError
from export.source import fetch
from export.steps import make_once

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from torch import nn

    from export.order import Order

__all__ = ["FAMILY", "build_voice"]

CHECKPOINT = "pretrained.pt"
HIDDEN, N_LAYERS = 256, 3
MAX_DIFFERENCE = 1e-4
"""Between torch's vectors and the graph's, of which each number is 0 to 1."""


def build_voice(order: Order, provenance: dict[str, Any]) -> None:
    """Build the bundle.

    Raises:
        SourceError: the checkpoint cannot be had, or is not this network.
        QualityError: the graph computes something else.
    """
    with order.reporter.step("fetch the network"):
        fetched = order.workshop / "source"
        make_once(fetched, order.weights.key, lambda part: fetch(order.weights, part))
    graph = order.workshop / GRAPH
    with order.reporter.step("export the graph"):
        network = load_network(fetched / CHECKPOINT)
        export_graph(network, graph)
        difference = parity(network, graph)
    contents = Contents(
        name=order.recipe.name,
        family=FAMILY,
        licence=order.recipe.licence,
        files={GRAPH: graph, LICENCE: order.licence_file},
        source=order.weights.record,
        export=provenance,
        model=dict(MODEL),
        capabilities=Capabilities(),
        quality={"max_difference": difference},
    )
    write_bundle(contents, order.target)


def load_network(path: Path) -> nn.Module:
    """Return the network of a checkpoint: (n, frames, mels) -> (n, 256), each row of length 1.

    Raises:
        SourceError: it is another one.
    """
    import torch

    class Network(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.lstm = torch.nn.LSTM(N_MELS, HIDDEN, N_LAYERS, batch_first=True)
            self.linear = torch.nn.Linear(HIDDEN, HIDDEN)

        def forward(self, mels: torch.Tensor) -> torch.Tensor:
            _, (hidden, _) = self.lstm(mels)
            vectors = torch.relu(self.linear(hidden[-1]))
            return vectors / vectors.norm(dim=1, keepdim=True).clamp_min(1e-9)

    network = Network()
    try:
        states = torch.load(path, map_location="cpu", weights_only=True)["model_state"]
        wanted = network.state_dict()
        network.load_state_dict({name: states[name] for name in wanted})
    except (OSError, KeyError, RuntimeError, TypeError) as error:
        raise SourceError(f"{path.name}: not the network of Resemblyzer ({error})") from error
    return network.eval()


def export_graph(network: nn.Module, path: Path) -> None:
    """Write the network as a graph of any number of windows."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about batches of another size, which are made below
        torch.onnx.export(
            network,
            (torch.zeros(2, WINDOW_FRAMES, N_MELS),),
            str(path),
            input_names=["mels"],
            output_names=["vectors"],
            dynamic_axes={"mels": {0: "n"}, "vectors": {0: "n"}},
            opset_version=17,
            dynamo=False,
        )


def parity(network: nn.Module, path: Path) -> float:
    """Return how far the graph's vectors are from the network's, at most.

    Raises:
        QualityError: too far.
    """
    import torch

    session = Session(path, n_threads=1)
    worst = 0.0
    for n in (1, 3):
        mels = np.random.default_rng(n).exponential(0.1, (n, WINDOW_FRAMES, N_MELS))
        mels = mels.astype(np.float32)
        ours = session.run({"mels": tensor(mels)}, ["vectors"])["vectors"].numpy()
        with torch.no_grad():
            theirs = network(torch.from_numpy(mels)).numpy()
        worst = max(worst, float(np.abs(ours - theirs).max()))
    if not worst <= MAX_DIFFERENCE:
        raise QualityError(f"{path.name}: differs from the network by {worst:.2g}")
    return round(worst, 8)
