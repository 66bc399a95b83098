"""``python -m benchmarks.granite``: this project's Granite beside Transformers and llama.cpp.

All systems have the same weights, hear the same sound, use as many threads, and decode as many
tokens. Each runs in a process of its own, one after the other, and all of them again in the next
round: what else the machine does falls on all alike; ``--clock cpu`` leaves it out. Figures are
medians over the rounds.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
import numpy as np
from msgspec.structs import replace

from benchmarks.granite_job import TOKENS_PER_S, Answer, Clip, Clock, Job
from benchmarks.granite_table import Measured, write_tables
from benchmarks.machine import describe_machine
from benchmarks.memory import PeakMemory
from edge_asr.audio import write_flac
from edge_asr.records import SAMPLE_RATE
from edge_asr.sessions import default_threads
from export.clips import read_waveform

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.memory import Memory

_PROMPT = "USER: <|audio|>can you transcribe the speech into a written format?\n ASSISTANT:"
_BASELINE = "Transformers bfloat16"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--bundle", "bundles", type=FOLDER, multiple=True, help="A bundle to measure.")
@click.option("--checkpoint", type=FOLDER, help="The same weights for Transformers.")
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(["bfloat16", "float32"]),
    multiple=True,
    default=["bfloat16", "float32"],
    show_default=True,
)
@click.option("--llama", "program", type=FILE, help="llama-mtmd-cli, built for this processor.")
@click.option("--gguf", "ggufs", type=FILE, multiple=True, help="The same weights for it.")
@click.option("--mmproj", type=FILE, help="Its audio encoder.")
@click.option(
    "--speech",
    type=FOLDER,
    envvar="EDGE_ASR_SPEECH",
    show_envvar=True,
    default=Path("build/sample"),
    show_default=True,
    help="Folder with speech.",
)
@click.option(
    "--seconds", "durations", type=float, multiple=True, default=[5, 10, 20, 30], show_default=True
)
@click.option("--threads", "n_threads", type=int, default=default_threads, help="Of each system.")
@click.option(
    "--clock",
    type=click.Choice([str(each) for each in Clock]),
    default=str(Clock.WALL),
    show_default=True,
    help="On a machine that does other things too, cpu, with --threads 1.",
)
@click.option("--rounds", default=3, show_default=True)
def main(
    bundles: tuple[Path, ...],
    checkpoint: Path | None,
    dtypes: tuple[str, ...],
    program: Path | None,
    ggufs: tuple[Path, ...],
    mmproj: Path | None,
    speech: Path,
    durations: tuple[float, ...],
    n_threads: int,
    clock: str,
    rounds: int,
) -> None:
    """Measure and print Markdown tables.

    \b
    python -m benchmarks.granite --bundle bundles/granite-4.0-1b-speech --checkpoint DIR
    python -m benchmarks.granite --bundle DIR --seconds 5 --rounds 1
    """
    if not bundles and checkpoint is None:
        raise click.UsageError("name a --bundle, a --checkpoint, or both")
    if ggufs and (program is None or mmproj is None):
        raise click.UsageError("--gguf needs --llama and --mmproj too")
    about = describe_machine()
    with tempfile.TemporaryDirectory() as folder:
        clips = make_clips(speech, Path(folder), durations)
        job = Job("", Path(), clips, n_threads, Clock(clock), _PROMPT)
        jobs = {each.name: replace(job, kind="edge-asr", model=each) for each in bundles}
        if checkpoint is not None:
            theirs = replace(job, kind="transformers", model=checkpoint)
            jobs |= {f"Transformers {dtype}": replace(theirs, dtype=dtype) for dtype in dtypes}
        llama = replace(job, kind="llama.cpp", program=program, projector=mmproj)
        jobs |= {f"llama.cpp {gguf.stem}": replace(llama, model=gguf) for gguf in ggufs}
        measured = measure(jobs, rounds)
    lines = [*about, f"{n_threads} threads, {rounds} rounds, {clock} time"]
    click.echo("\n".join(f"* {line}" for line in lines))
    click.echo(f"\n{write_tables(measured, _BASELINE)}")


def make_clips(speech: Path, folder: Path, durations: Sequence[float]) -> list[Clip]:
    """Write clips of these lengths, of the speech in a folder strung together.

    Raises:
        click.UsageError: there is none.
    """
    files = sorted([*speech.rglob("*.flac"), *speech.rglob("*.wav")])
    wanted = int(max(durations) * SAMPLE_RATE)
    sound = np.zeros(0, dtype=np.float32)
    for file in files:
        sound = np.concatenate([sound, read_waveform(file)])
        if len(sound) >= wanted:
            break
    if not len(sound):
        raise click.UsageError(f"{speech}: no .flac or .wav in it; name another --speech")
    sound = np.resize(sound, wanted)
    clips = []
    for duration_s in durations:
        path = folder / f"{duration_s:g}.flac"
        write_flac(path, sound[: int(duration_s * SAMPLE_RATE)])
        clips.append(Clip(path, duration_s, max(2, round(duration_s * TOKENS_PER_S))))
    return clips


def measure(jobs: dict[str, Job], rounds: int) -> list[Measured]:
    """Do every job once in each round."""
    found: dict[str, list[tuple[Answer, Memory]]] = {name: [] for name in jobs}
    for number in range(1, rounds + 1):
        for name, job in jobs.items():
            click.echo(f"round {number} of {rounds}: {name}", err=True)
            found[name].append(_run(job))
    return [
        Measured(name, _size(jobs[name]), [each[0] for each in runs], [each[1] for each in runs])
        for name, runs in found.items()
    ]


def _run(job: Job) -> tuple[Answer, Memory]:
    """Do a job in a process of its own.

    Raises:
        click.ClickException: it fails.
    """
    # torch's threads spin while they wait, which is unfair to whatever else runs, and to itself.
    environment = {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ
    with (
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.granite_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
        ) as process,
        PeakMemory(process.pid) as watch,
    ):
        answer, complaints = process.communicate(job.encode())
    if process.returncode:
        raise click.ClickException(
            f"{job.model.name}: {complaints.decode(errors='replace')[-800:]}"
        )
    return msgspec.json.decode(answer, type=Answer), watch.peak


def _size(job: Job) -> int:
    """Return the bytes of the files that a system needs."""
    folder = job.model
    files = sorted(folder.rglob("*")) if folder.is_dir() else [folder]
    files += [job.projector] if job.projector else []
    return sum(file.stat().st_size for file in files if file.is_file())


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.granite")
