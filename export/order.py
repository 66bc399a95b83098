"""What is asked of one export: the recipe and the command line's options, in one record."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from export.progress import Reporter
    from export.recipe import Quantization, Recipe
    from export.source import Weights


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
