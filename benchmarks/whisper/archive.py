"""An archive: one long file, ``edge-asr transcribe`` beside faster-whisper's batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.whisper.bench import FASTER_WHISPER_BATCHED, OURS_FILES
from benchmarks.whisper.commands import (
    BATCH_SIZE,
    faster_whisper_command,
    our_environment,
    run_in_turn,
    transcribe_command,
)
from benchmarks.whisper.sounds import strung_together
from benchmarks.whisper.tables import Measured, Ratio, Table, middle
from edge_asr.audio import write_flac
from edge_asr.evaluation.clips import pick_clips

if TYPE_CHECKING:
    from benchmarks.whisper.bench import Bench

_WANTED = 1.5


def measure_archive(
    bench: Bench, name: str, *, n_threads: int, minutes: float, repeats: int
) -> Measured:
    """Have both transcribe the same file, start and loading included."""
    bench.tell(f"archive: {name}, {minutes:g} min")
    file = bench.folder / "archive.flac"
    clips = pick_clips(bench.english, len(bench.english))
    write_flac(file, strung_together(clips, minutes * 60))
    commands = {
        OURS_FILES: transcribe_command(bench, name, n_threads, file, in_processes=True),
        FASTER_WHISPER_BATCHED: faster_whisper_command(
            bench, name, n_threads, file, batch_size=BATCH_SIZE
        ),
    }
    runs = run_in_turn(commands, repeats, our_environment(bench))
    wall_s = {system: middle(run.wall_s for run in found) for system, found in runs.items()}
    rows = [
        [
            system,
            f"{wall_s[system]:.1f} s",
            f"{minutes * 60 / wall_s[system]:.1f}",
            f"{middle(run.cpu_s for run in found) / (minutes * 60):.3f}",
            str(len(found[0].text.split())),
        ]
        for system, found in runs.items()
    ]
    note = (
        f"{name}, {minutes:g} min of English clips with pauses between, {n_threads} threads "
        f"(edge-asr: processes), {repeats} runs of each in turn; start and loading are included."
    )
    heads = ["Command", "Median", "RTFx", "CPU s per s of sound", "Words written"]
    ratio = Ratio(
        f"{name}, an archive of {minutes:g} min",
        FASTER_WHISPER_BATCHED,
        f"{wall_s[OURS_FILES]:.1f} s",
        f"{wall_s[FASTER_WHISPER_BATCHED]:.1f} s",
        wall_s[FASTER_WHISPER_BATCHED] / wall_s[OURS_FILES],
        _WANTED,
    )
    return Measured([Table("An archive", note, heads, rows)], [ratio])
