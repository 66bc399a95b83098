"""What is asked of one export: the recipe and the command line's options, in one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from export.progress import Reporter
    from export.recipe import Quantization, Recipe
    from export.source import Weights


@dataclass(frozen=True, slots=True)
class Adapter:
    """A few trained numbers that are added to the weights."""

    path: Path
    sha256: str
    margin: int
    """Frames of 20 ms behind an utterance with which it was found to work."""
    weights_key: str
    """Of the weights it was trained beside: it fits no others."""
    record: dict[str, Any]
    """What the manifest says of it."""


@dataclass(frozen=True, slots=True)
class Order:
    """One bundle to build."""

    recipe: Recipe
    recipe_directory: Path
    weights: Weights
    quantization: Quantization
    out: Path
    """Folder that holds bundles."""
    work: Path
    """Folder for what lies between."""
    sounds: Path
    """Folder of the recorded prompts that the sample is made from."""
    speech: Path | None
    """Folder with more speech for the quality gate, and its manifest.jsonl."""
    reporter: Reporter
    adapter: Adapter | None = None

    @property
    def target(self) -> Path:
        """Where the bundle goes."""
        return self.out / self.recipe.name

    @property
    def workshop(self) -> Path:
        """This recipe's part of the work folder."""
        return self.work / self.recipe.name

    @property
    def licence_file(self) -> Path:
        """The text of the weights' licence."""
        return self.recipe_directory / self.recipe.licence_file
