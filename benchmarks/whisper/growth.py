"""What sound costs as it gets longer, from a second to as long as there is time for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.whisper.bench import FASTER_WHISPER, OURS_FILES, WHISPER_CPP
from benchmarks.whisper.contest import compete
from benchmarks.whisper.sounds import save_sound, strung_together
from benchmarks.whisper.tables import Measured, Table
from edge_asr.evaluation.clips import pick_clips

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.whisper.bench import Bench

_LONG_S = 60.0
"""Sound of this length and more is heard once."""
_REPEATS = 3


def measure_growth(
    bench: Bench, name: str, *, n_threads: int, lengths_s: Sequence[float]
) -> Measured:
    """Have three systems hear the beginnings of the same speech."""
    bench.tell(f"growth: {name}, up to {max(lengths_s):g} s")
    systems = [OURS_FILES, FASTER_WHISPER, WHISPER_CPP]
    entrants = [bench.entrant(system, name, n_threads) for system in systems]
    clips = pick_clips(bench.english, len(bench.english))
    speech = strung_together(clips, max(lengths_s))
    calls = [save_sound(bench.folder, f"{s:g}", speech[: round(s * 16_000)]) for s in lengths_s]
    n_short = sum(length_s < _LONG_S for length_s in lengths_s)
    found = compete(entrants, calls[:n_short], _REPEATS, tell=bench.tell)
    if n_short < len(calls):
        for system, turns in compete(entrants, calls[n_short:], 1, tell=bench.tell).items():
            found[system] += turns
    rows = [
        [
            f"{length_s:g} s",
            *(f"{found[system][i].wall_s:.2f} s" for system in systems),
            *(f"{found[system][i].cpu_s / length_s:.3f}" for system in systems),
        ]
        for i, length_s in enumerate(lengths_s)
    ]
    note = (
        f"{name}, {n_threads} threads, warm. edge-asr cuts into utterances as for a file; the "
        f"others take windows of 30 s. Medians of {_REPEATS}; from {_LONG_S:g} s on, one run."
    )
    heads = ["Sound", *systems, *(f"{system}, CPU s per s" for system in systems)]
    curves = {
        system: [
            (length_s, turns.wall_s)
            for length_s, turns in zip(lengths_s, found[system], strict=True)
        ]
        for system in systems
    }
    return Measured([Table("Cost as the sound grows", note, heads, rows)], [], curves)
