"""Which adapter an order takes: the recipe's own, one that is named, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors import SafetensorError, safe_open

from edge_asr.bundle import sha256_of
from export.errors import SourceError
from export.order import Adapter

if TYPE_CHECKING:
    from pathlib import Path

    from export.recipe import Recipe
    from export.source import Weights


def find_adapter(
    recipe: Recipe, directory: Path, named: Path | None, weights: Weights
) -> Adapter | None:
    """Return the adapter for these weights, if there is one.

    Args:
        recipe: what is asked for.
        directory: where it lies.
        named: what ``--adapter`` names.
        weights: an adapter fits those it was trained beside, and no others.

    Raises:
        SourceError: the one that is named cannot be read, or belongs to other weights.
    """
    if named is not None:
        adapter = read_adapter(named)
        if adapter.weights_key != weights.key:
            raise SourceError(
                f"{named}: an adapter for other weights than these; "
                f"train one with: python -m export adapt {recipe.name} --speech DIR"
            )
        return adapter
    if recipe.adapter is None:
        return None
    own = read_adapter(directory / recipe.adapter)
    return own if own.weights_key == weights.key else None


def read_adapter(path: Path) -> Adapter:
    """Read what an adapter says of itself.

    Raises:
        SourceError: it cannot be read, or says too little.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            facts = dict(file.metadata() or {})
    except (OSError, SafetensorError) as error:
        raise SourceError(f"{path}: no adapter can be read from it ({error})") from error
    try:
        margin = int(facts["margin"])
        weights = facts["weights"]
    except (KeyError, ValueError) as error:
        raise SourceError(f"{path}: not an adapter of this project, it lacks {error}") from error
    sha256 = sha256_of(path)
    return Adapter(path, sha256, margin, weights, {"sha256": sha256, **facts})
