"""Bundles as a device has them: prepared for the machine at hand, in a copy of their own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

from edge_asr.config import Config

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def prepared_copies(names: Iterable[str], bundles: Path, folder: Path) -> Path:
    """Copy bundles and the detector's, and do with each what the manual tells users to do.

    Args:
        names: of the bundles.
        bundles: where they are.
        folder: where the copies go, and what ``edge-asr bundle prepare`` writes.

    Returns:
        Where the copies are.

    Raises:
        subprocess.CalledProcessError: a bundle cannot be prepared.
    """
    copies = folder / "bundles"
    for name in (*names, Config().vad.bundle):
        shutil.copytree(bundles / name, copies / name)
        command = [sys.executable, "-m", "edge_asr.cli", "bundle", "prepare", str(copies / name)]
        subprocess.run(command, check=True, capture_output=True, text=True)
    return copies
