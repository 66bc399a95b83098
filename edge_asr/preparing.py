"""Prepares a bundle for this machine; :mod:`edge_asr.prepared` says what that is for."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edge_asr.errors import BundleError
from edge_asr.manifest import FileEntry, sha256_of
from edge_asr.prepared import (
    RECORD,
    Preparation,
    machine_name,
    prepared_directory,
    read_preparation,
)
from edge_asr.sessions import write_prepared

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.bundle import Bundle
    from edge_asr.prepared import MeasuredPace

_GRAPH = ".onnx"
_ROOM_FACTOR = 2.5
"""Prepared weights are stored both as they were and prepacked, and the latter may be padded."""


def prepare_bundle(bundle: Bundle, *, n_threads: int, say: Callable[[str], None]) -> Path:
    """Write a bundle's graphs as this machine's runtime wants them, and seal them by checksums.

    What was prepared of the bundle before, for this machine or another, is removed.

    Args:
        bundle: a verified one.
        n_threads: to do it with; it decides nothing else.
        say: is told of each graph before it is prepared.

    Returns:
        The folder that holds them.

    Raises:
        BundleError: there is not enough room, the folder cannot be written, or the runtime refuses
            a graph.
    """
    target = prepared_directory(bundle.directory, bundle.sha256)
    graphs = sorted(name for name in bundle.manifest.files if name.endswith(_GRAPH))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _check_room(bundle, target.parent)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".part-") as scratch:
            part = Path(scratch) / target.name
            part.mkdir()
            for name in graphs:
                say(name)
                write_prepared(bundle.path(name), part / name, n_threads=n_threads)
            _seal(part)
            for old in target.parent.iterdir():
                if old.is_dir() and old.name != Path(scratch).name:
                    shutil.rmtree(old)
            part.rename(target)
    except OSError as error:
        raise BundleError(f"{error.filename}: {error.strerror}; nothing was prepared") from error
    return target


def record_pace(bundle: Bundle, pace: MeasuredPace) -> None:
    """Add to the record of a prepared bundle what was measured of it.

    Raises:
        BundleError: it is not prepared, or the folder cannot be written.
    """
    directory = prepared_directory(bundle.directory, bundle.sha256)
    preparation = read_preparation(directory)
    if preparation is None:
        raise BundleError(f"bundle {bundle.name} is not prepared for this machine")
    # Beside the folder: in it, whoever reads the record meanwhile would find too much there.
    part = directory.parent / f".part-{RECORD}"
    try:
        part.write_bytes(msgspec.json.encode(msgspec.structs.replace(preparation, pace=pace)))
        _sync(part)
        part.replace(directory / RECORD)
        _sync(directory)
    except OSError as error:
        raise BundleError(f"{error.filename}: {error.strerror}; nothing was recorded") from error


def _check_room(bundle: Bundle, directory: Path) -> None:
    used = (entry.size for name, entry in bundle.manifest.files.items() if _GRAPH in name)
    needed, free = int(_ROOM_FACTOR * sum(used)), shutil.disk_usage(directory).free
    if free < needed:
        raise BundleError(
            f"{directory}: {needed / 1e9:.1f} GB are needed to prepare bundle {bundle.name} and "
            f"{free / 1e9:.1f} GB are free; make room",
        )


def _seal(directory: Path) -> None:
    files = {}
    for path in sorted(directory.iterdir()):
        files[path.name] = FileEntry(size=path.stat().st_size, sha256=sha256_of(path))
        _sync(path)
    record = directory / RECORD
    record.write_bytes(msgspec.json.encode(Preparation(files=files, machine=machine_name())))
    _sync(record)
    _sync(directory)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
