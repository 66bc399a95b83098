"""The same weights for every system: made once from what the export left behind, and kept.

The checkpoint is the one that the bundle was exported from, before its adapter: peers hear in
windows of 30 s, and the adapter teaches short ones.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from benchmarks.ctranslate2 import complete_model
from benchmarks.whisper.ggml import Format, write_ggml
from export.steps import code_sha256, digest, make_once, versions
from export.whisper import FAMILY

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Weights:
    """One checkpoint, as every system reads it."""

    bundle: Path
    published: Path | None
    """A bundle of ours without the adapter; None: not asked for."""
    ctranslate2: Path
    ggml: dict[Format, Path]
    onnx_asr: Path | None
    """None for models of English alone: onnx-asr names a language, and they know no names."""


def prepare_weights(
    name: str, bundles: Path, work: Path, folder: Path, *, published: bool
) -> Weights:
    """Return the weights of a model, and make what is not there yet.

    Args:
        name: of the bundle.
        bundles: where it is.
        work: where the export keeps checkpoints (``build/export``).
        folder: where the peers' files are kept.
        published: a bundle without the adapter is wanted, too: an export of its own.

    Raises:
        FileNotFoundError: the export's files are gone.
        subprocess.CalledProcessError: the export for onnx-asr fails.
    """
    source, checkpoint = work / name / "source", work / name / "checkpoint"
    for needed in (source / "model.bin", checkpoint / "model.safetensors"):
        if not needed.is_file():
            raise FileNotFoundError(f"{needed} is not there; export {name} again")
    target = folder / name
    target.mkdir(parents=True, exist_ok=True)
    ggml = {
        kind: _once(target / f"ggml-{kind}.bin", partial(write_ggml, checkpoint, kind=kind))
        for kind in Format
    }
    return Weights(
        bundles / name,
        _published(name, checkpoint, target / "published") if published else None,
        _once(target / "ctranslate2", lambda part: _link_all(source, part)),
        ggml,
        None
        if name.endswith(".en")
        else _once(target / "onnx-asr", lambda part: _export_for_onnx_asr(checkpoint, part)),
    )


def _once(place: Path, make: Callable[[Path], None]) -> Path:
    """Make a file or a folder that is not there; half of one never has its name."""
    if not place.exists():
        part = place.with_name(f"{place.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        make(part)
        part.rename(place)
    return place


def _link_all(source: Path, folder: Path) -> None:
    folder.mkdir()
    if complete_model(source, folder) == source:
        for file in source.iterdir():
            (folder / file.name).symlink_to(file.resolve())


def _published(name: str, checkpoint: Path, folder: Path) -> Path:
    """Return our bundle of the published weights; made anew when the export has changed."""
    key = digest(code_sha256(FAMILY), versions())
    make_once(folder, key, lambda part: _export_published(name, checkpoint, part))
    return folder / name


def _export_published(name: str, checkpoint: Path, folder: Path) -> None:
    """Export without the adapter: it is not merged into weights that come from elsewhere."""
    folders = ["--out", str(folder), "--work", str(folder / "work")]
    _run("export", name, "--from", str(checkpoint), *folders)
    shutil.rmtree(folder / "work")


def _export_for_onnx_asr(checkpoint: Path, folder: Path) -> None:
    _run("benchmarks.whisper.onnx_asr_weights", str(checkpoint), str(folder))


def _run(module: str, *arguments: str) -> None:
    subprocess.run(
        [sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True
    )
