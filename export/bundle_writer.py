"""Writes a bundle: all of it under another name first, then one rename."""

from __future__ import annotations

import os
import shutil
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from edge_asr.bundle import (
    FORMAT,
    MANIFEST,
    SEAL,
    Capabilities,
    FileEntry,
    Manifest,
    open_bundle,
    seal_line,
    sha256_of,
)
from export.errors import ExportError

if TYPE_CHECKING:
    from edge_asr.bundle import Bundle

LICENCE = "LICENSE"


@dataclass(frozen=True, slots=True)
class Contents:
    """What goes into a bundle."""

    name: str
    family: str
    licence: str
    files: dict[str, Path]
    """Name in the bundle -> where the file is now."""
    source: dict[str, Any]
    export: dict[str, Any]
    model: dict[str, Any]
    capabilities: Capabilities
    quality: dict[str, Any]


def write_bundle(contents: Contents, target: Path) -> Bundle:
    """Write a bundle to ``target`` and verify it; one that is there is replaced at the very end.

    Raises:
        ExportError: it cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
        try:
            _fill(contents, part)
            open_bundle(part, family=contents.family)
            _put(part, target)
        finally:
            shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise ExportError(f"{target}: cannot be written ({error.strerror})") from error
    return open_bundle(target, family=contents.family)


def _fill(contents: Contents, directory: Path) -> None:
    directory.chmod(0o755)  # mkdtemp makes it private; a service of another user must read it
    files = {}
    for name, path in sorted(contents.files.items()):
        shutil.copyfile(path, directory / name)
        files[name] = FileEntry(size=path.stat().st_size, sha256=sha256_of(directory / name))
        _sync(directory / name)
    manifest = Manifest(
        format=FORMAT,
        name=contents.name,
        family=contents.family,
        created_utc=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        licence=contents.licence,
        files=files,
        source=contents.source,
        export=contents.export,
        model=contents.model,
        capabilities=contents.capabilities,
        quality=contents.quality,
    )
    raw = msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n"
    (directory / MANIFEST).write_bytes(raw)
    digest = sha256_of(directory / MANIFEST)
    (directory / SEAL).write_text(seal_line(digest), encoding="ascii")
    for name in (MANIFEST, SEAL):
        _sync(directory / name)
    _sync(directory)


def _put(part: Path, target: Path) -> None:
    """Rename ``part`` to ``target``; a bundle that was there makes way first."""
    if not target.exists():
        part.rename(target)
        return
    if not (target / MANIFEST).is_file():
        raise ExportError(f"{target}: is there and is no bundle; remove it, or name another --out")
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}.old.", dir=target.parent))
    target.rename(old / target.name)
    try:
        part.rename(target)
    except OSError:
        (old / target.name).rename(target)
        raise
    finally:
        shutil.rmtree(old, ignore_errors=True)
    _sync(target.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
