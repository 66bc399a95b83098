"""Whole commands, each from a cold process: what someone waits for who types it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from benchmarks.whisper.contest import WorkerError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from benchmarks.whisper.bench import Bench

BATCH_SIZE = 8
"""faster-whisper's own default."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a command."""

    text: str
    wall_s: float
    cpu_s: float


def our_options(bench: Bench, name: str, n_threads: int, state: Path) -> list[str]:
    """Return the beginning of an ``edge-asr`` command with a bundle and a number of threads."""
    config = bench.folder / f"threads-{n_threads}.yaml"
    config.write_text(f"recognition:\n  threads: {n_threads}\n", encoding="utf-8")
    return [
        *(sys.executable, "-m", "edge_asr.cli", "--config", str(config)),
        *("--state", str(state), "--bundle", str(bench.weights[name].bundle)),
    ]


def our_environment(bench: Bench) -> dict[str, str]:
    """Return the environment in which ``edge-asr`` finds the detector's bundle."""
    bundles = {str(weights.bundle.parent) for weights in bench.weights.values()}
    return os.environ | {"EDGE_ASR_BUNDLES": ":".join(sorted(bundles))}


def transcribe_command(
    bench: Bench, name: str, n_threads: int, file: Path, *, in_processes: bool
) -> list[str]:
    """Return ``edge-asr transcribe`` of a file of English.

    Args:
        bench: who takes part.
        name: of the bundle.
        n_threads: of one process, or so many processes of one thread.
        file: what is transcribed.
        in_processes: which of them.
    """
    options = our_options(bench, name, n_threads, bench.folder / "state")
    jobs = ["--jobs", str(n_threads)] if in_processes else []
    return [*options, "transcribe", "--language", "en", *jobs, str(file)]


def faster_whisper_command(
    bench: Bench, name: str, n_threads: int, file: Path, *, batch_size: int
) -> list[str]:
    """Return the same for faster-whisper."""
    return [
        *(str(bench.peers_python), "-m", "benchmarks.whisper.faster_whisper_command"),
        *(str(bench.weights[name].ctranslate2), str(file), str(n_threads), str(batch_size)),
    ]


def run_in_turn(
    commands: Mapping[str, Sequence[str]], repeats: int, environment: Mapping[str, str]
) -> dict[str, list[Run]]:
    """Run commands in turn, and all of them again in the next round.

    Raises:
        WorkerError: one fails.
    """
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(repeats):
        for name, command in commands.items():
            runs[name].append(_run(name, command, environment))
    return runs


def _run(name: str, command: Sequence[str], environment: Mapping[str, str]) -> Run:
    used_s, started = _children_cpu_s(), time.perf_counter()
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env=dict(environment)
    )
    took_s = time.perf_counter() - started
    if done.returncode or not done.stdout.strip():
        raise WorkerError(f"{name} ended with status {done.returncode}: {done.stderr[-800:]}")
    return Run(done.stdout, took_s, _children_cpu_s() - used_s)


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
