"""The Python that the peers live in, and what is in it."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

from benchmarks.whisper.contest import compete
from benchmarks.whisper.tables import milliseconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.whisper.contest import Entrant
    from benchmarks.whisper.ggml import Format
    from benchmarks.whisper.protocol import Call

_PACKAGES = ("faster-whisper", "ctranslate2", "pywhispercpp", "onnx-asr", "onnxruntime", "numpy")
_ASK = f"""
import json
from importlib.metadata import version
import _pywhispercpp
versions = [f"{{name}} {{version(name)}}" for name in {_PACKAGES!r}]
print(json.dumps([", ".join(versions), _pywhispercpp.whisper_print_system_info()]))
"""
_ROUNDS = 3


def describe_peers(python: Path) -> list[str]:
    """Return one line each: versions, and what whisper.cpp was built for.

    Raises:
        subprocess.CalledProcessError: a peer is not installed.
    """
    done = subprocess.run([str(python), "-c", _ASK], capture_output=True, text=True, check=True)
    versions, system_info = json.loads(done.stdout.splitlines()[-1])
    flags = [part.split("=")[0].strip() for part in system_info.split("|") if "= 1" in part]
    built_for = " ".join(flag.rpartition(":")[2].strip() for flag in flags)
    return [f"peers: {versions}", f"whisper.cpp is built for {built_for}"]


def fastest_format(entrants: Mapping[Format, Entrant], call: Call) -> tuple[Format, str]:
    """Return the format in which whisper.cpp is fastest on this machine, and how fast each is."""
    found = compete(list(entrants.values()), [call], _ROUNDS, tell=lambda _text: None)
    took_s = {kind: found[entrant.name][0].wall_s for kind, entrant in entrants.items()}
    times = ", ".join(f"{kind} {milliseconds(each_s)}" for kind, each_s in took_s.items())
    return min(took_s, key=lambda kind: took_s[kind]), times
