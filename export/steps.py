"""Steps whose results are kept: a folder is made once for each key, and never half.

A key is a digest of everything that a step's result depends on. The folder is made under another
name and renamed when it is complete, so an interrupted export resumes cleanly.
"""

from __future__ import annotations

import hashlib
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from edge_asr.bundle import sha256_of

if TYPE_CHECKING:
    from collections.abc import Callable

_KEY_FILE = ".key"
_FAMILIES = frozenset({"granite", "silero", "text", "voice", "whisper"})
"""First words of the modules that belong to one model family alone."""
_LIBRARIES = ("torch", "transformers", "optimum-onnx", "onnx", "onnxruntime", "numpy")


def digest(*parts: object) -> str:
    """Return one SHA-256 over the representations of ``parts``."""
    return hashlib.sha256("\0".join(repr(part) for part in parts).encode()).hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the libraries that shape a bundle, of those that are installed."""
    found = {}
    for name in _LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def code_sha256(family: str | None = None) -> str:
    """Return one SHA-256 over this package's own code.

    Args:
        family: leave out the modules of other model families, which are named after them.
    """
    others = _FAMILIES - {family} if family else frozenset()
    files = sorted(Path(__file__).parent.glob("*.py"))
    ours = [file for file in files if file.stem.partition("_")[0] not in others]
    return digest(*((file.name, sha256_of(file)) for file in ours))


def is_made(directory: Path, key: str) -> bool:
    """Return whether ``directory`` holds the complete result for ``key``."""
    try:
        return (directory / _KEY_FILE).read_text(encoding="ascii") == key
    except (OSError, UnicodeDecodeError):
        return False


def make_once(directory: Path, key: str, make: Callable[[Path], None]) -> None:
    """Let ``make`` fill ``directory``, unless it holds the result for ``key`` already.

    Args:
        directory: the result; what it held for another key is removed.
        key: see :func:`digest`.
        make: is given an empty folder to fill.
    """
    if is_made(directory, key):
        return
    part = directory.with_name(f"{directory.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    make(part)
    (part / _KEY_FILE).write_text(key, encoding="ascii")
    shutil.rmtree(directory, ignore_errors=True)
    part.rename(directory)
