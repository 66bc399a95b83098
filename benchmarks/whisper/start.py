"""The start: a short clip transcribed by a command in a cold process, loading included."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.whisper.bench import FASTER_WHISPER, OURS_FILES
from benchmarks.whisper.commands import (
    faster_whisper_command,
    our_environment,
    run_in_turn,
    transcribe_command,
)
from benchmarks.whisper.sounds import utterances
from benchmarks.whisper.tables import Measured, Ratio, Table, middle, milliseconds
from edge_asr.audio import write_flac
from edge_asr.evaluation.systems import read_waveform

if TYPE_CHECKING:
    from benchmarks.whisper.bench import Bench

_LENGTH_S = 3.0


def measure_start(bench: Bench, name: str, *, n_threads: int, repeats: int) -> Measured:
    """Run both commands on the same clip; their files are in the system's cache."""
    bench.tell(f"start: {name}")
    (clip,) = utterances(bench.english, [_LENGTH_S])
    file = bench.folder / "short.flac"
    write_flac(file, read_waveform(clip.path))
    commands = {
        OURS_FILES: transcribe_command(bench, name, n_threads, file, in_processes=False),
        FASTER_WHISPER: faster_whisper_command(bench, name, n_threads, file, batch_size=0),
    }
    environment = our_environment(bench)
    run_in_turn(commands, 1, environment)  # so that the files are in the cache
    runs = run_in_turn(commands, repeats, environment)
    wall_s = {system: middle(run.wall_s for run in found) for system, found in runs.items()}
    rows = [
        [
            system,
            milliseconds(wall_s[system]),
            milliseconds(min(run.wall_s for run in found)),
            f"{middle(run.cpu_s for run in found):.2f} s",
        ]
        for system, found in runs.items()
    ]
    note = (
        f"{name}, a clip of {clip.duration_s:.1f} s, {n_threads} threads, {repeats} runs of each "
        "in turn: from nothing to the text, files already in the system's cache."
    )
    ours_s, theirs_s = wall_s[OURS_FILES], wall_s[FASTER_WHISPER]
    ratio = Ratio(
        f"{name}, a cold process to the text of a short clip",
        FASTER_WHISPER,
        milliseconds(ours_s),
        milliseconds(theirs_s),
        theirs_s / ours_s,
        1.0,
    )
    heads = ["Command", "Median", "Fastest", "CPU"]
    return Measured([Table("Start", note, heads, rows)], [ratio])
