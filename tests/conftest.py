"""What tests share: the bundles, the speech, and the program itself."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def bundles():
    """Return the directory of the exported bundles."""
    directory = ROOT / "bundles"
    if not (directory / "silero-vad" / "manifest.json").is_file():
        pytest.skip("no exported bundles; make them with: make bundle")
    return directory


@pytest.fixture(scope="session")
def sample():
    """Return the directory of the project's own speech sample."""
    directory = ROOT / "build" / "sample"
    if not (directory / "manifest.jsonl").is_file():
        pytest.skip("no speech sample; make it with: python -m export sample")
    return directory


@pytest.fixture(scope="session")
def speech():
    """Return the folder of real speech that the environment names."""
    folder = os.environ.get("EDGE_ASR_SPEECH")
    if not folder or not (Path(folder) / "manifest.jsonl").is_file():
        pytest.skip("EDGE_ASR_SPEECH names no folder of real speech with a manifest.jsonl")
    return Path(folder)


@dataclass(frozen=True)
class Program:
    """``edge-asr`` as a user starts it, with a state directory of its own."""

    state: Path
    environ: dict

    def command(self, *arguments):
        """Return the argument list of a call."""
        return [sys.executable, "-m", "edge_asr.cli", "--state", str(self.state), *arguments]

    def run(self, *arguments, timeout=120, wrap=(), **environ):
        """Run a command to its end and return what it printed and its status."""
        return subprocess.run(
            [*wrap, *self.command(*map(str, arguments))],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=ROOT,
            env={**self.environ, **environ},
        )

    def start(self, *arguments, **environ):
        """Start a command and return its process."""
        return subprocess.Popen(
            self.command(*map(str, arguments)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**self.environ, **environ},
        )

    def export(self):
        """Return what ``log export`` prints, as objects."""
        result = self.run("log", "export", "--format", "jsonl")
        assert result.returncode == 0, result.stderr
        return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def program(tmp_path):
    """Return the program, with the exported bundles where they exist and an empty store."""
    environ = {**os.environ, "EDGE_ASR_BUNDLES": str(ROOT / "bundles")}
    return Program(tmp_path / "state", environ)
