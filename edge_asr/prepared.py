"""Graphs of a bundle as this machine's runtime wants them: optimized, their weights prepacked.

A runtime turns weights round for the processor's instructions whenever it opens a graph, and keeps
the result in memory of its own. ``edge-asr bundle prepare`` does it once and writes the result
down; it is then mapped from disk, so that the system can share it and take it back when memory is
short.

What was prepared lies beside the bundles, in ``.prepared/NAME/KEY``: the bundle itself has no file
that its manifest does not list. The key covers the manifest (and thereby every file of the bundle),
the runtime's version and the processor: elsewhere, or after an update, nothing is found and the
bundle's own graphs are used. So they are when a prepared file does not match its checksum.
"""

from __future__ import annotations

import hashlib
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from edge_asr.errors import BundleDamagedError
from edge_asr.manifest import FileEntry, check_plain_file, sha256_of

if TYPE_CHECKING:
    from edge_asr.bundle import Bundle

RECORD = "prepared.json"
DATA_SUFFIX = "_data"
"""What is appended to a graph's name for the file of its weights."""
_PLACE = ".prepared"
_MAX_RECORD_BYTES = 4 << 20
_CPU_INFO = Path("/proc/cpuinfo")
_CPU_FACTS = re.compile(r"^(?:flags|Features|model name|CPU part)\s*:\s*(.*)$", re.MULTILINE)


class MeasuredPace(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was measured of a bundle on this machine, once it was prepared."""

    n_threads: int
    """That suit it best."""
    rtf: float | None = None
    """Real-time factor without drafts; None: it does not hear speech."""


class Preparation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was prepared, as its record has it."""

    files: dict[str, FileEntry]
    machine: str
    """What it was prepared on, in words."""
    pace: MeasuredPace | None = None
    """None: it was not measured."""


def machine_name(cpu_info: Path = _CPU_INFO) -> str:
    """Return what decides how weights are prepacked: the runtime and the processor, in words."""
    try:
        text = cpu_info.read_text(encoding="utf-8")
    except OSError:
        text = ""
    # Cores may differ (big and little ones); their order is no difference.
    facts = sorted(set(_CPU_FACTS.findall(text)))
    return f"onnxruntime {version('onnxruntime')}, {platform.machine()}, {'; '.join(facts)}"


def prepared_directory(bundle_directory: Path, manifest_sha256: str) -> Path:
    """Return where what is prepared for this machine lies, or would lie."""
    bundle_directory = bundle_directory.resolve()
    key = hashlib.sha256(f"{manifest_sha256}\n{machine_name()}".encode()).hexdigest()
    return bundle_directory.parent / _PLACE / bundle_directory.name / key[:16]


def prepared_graph(bundle: Bundle, file_name: str) -> Path | None:
    """Return a prepared graph whose files were verified just now, or None.

    Verifying reads all of it; it costs as much as verifying the bundle's own file did.
    """
    directory = prepared_directory(bundle.directory, bundle.sha256)
    try:
        preparation = read_preparation(directory)
        if preparation is None or file_name not in preparation.files:
            return None
        for name in (file_name, f"{file_name}{DATA_SUFFIX}"):
            if name in preparation.files:
                _verify(directory / name, preparation.files[name])
    except BundleDamagedError:
        return None
    return directory / file_name


def preparation_problem(bundle_directory: Path, manifest_sha256: str) -> str | None:
    """Return why the bundle would be used as it is, or None where what is prepared is whole."""
    directory = prepared_directory(bundle_directory, manifest_sha256)
    try:
        preparation = read_preparation(directory)
        if preparation is None:
            return "not prepared for this machine"
        for name, entry in preparation.files.items():
            _verify(directory / name, entry)
    except BundleDamagedError as error:
        return f"what was prepared is damaged and not used ({error})"
    return None


def measured_pace(bundle_directory: Path, manifest_sha256: str) -> MeasuredPace | None:
    """Return what was measured of a bundle on this machine, or None where nothing was."""
    try:
        found = read_preparation(prepared_directory(bundle_directory, manifest_sha256))
    except BundleDamagedError:
        return None
    return found.pace if found is not None else None


def read_preparation(directory: Path) -> Preparation | None:
    """Return the record of what was prepared, or None where nothing is.

    Raises:
        BundleDamagedError: there is something that is no record of what lies there.
    """
    path = directory / RECORD
    try:
        with path.open("rb") as file:
            preparation = msgspec.json.decode(file.read(_MAX_RECORD_BYTES), type=Preparation)
        present = {each.name for each in directory.iterdir()}
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BundleDamagedError(f"{path}: {error}") from error
    if present != {RECORD, *preparation.files} or preparation.machine != machine_name():
        raise BundleDamagedError(f"{path}: does not fit what lies beside it")
    return preparation


def _verify(path: Path, entry: FileEntry) -> None:
    check_plain_file(path)
    if path.stat().st_size != entry.size or sha256_of(path) != entry.sha256:
        raise BundleDamagedError(f"{path}: does not match its checksum")
