"""Speed of utterances of 2 to 10 s, and of speech that needs the full window of 30 s."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.whisper.bench import FASTER_WHISPER, OURS, WHISPER_CPP
from benchmarks.whisper.contest import compete
from benchmarks.whisper.sounds import save_sound, utterances
from benchmarks.whisper.tables import Measured, Ratio, Table, middle, milliseconds
from edge_asr.evaluation.systems import read_waveform
from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.whisper.bench import Bench
    from benchmarks.whisper.contest import Turns

LENGTHS_S = (2.0, 3.0, 5.0, 7.0, 10.0)
WINDOW_S = 28.0
"""Less than 30: without silence behind it, Whisper sometimes takes the first pause for the end."""
_WANTED = {FASTER_WHISPER: (6.0, 1.5), WHISPER_CPP: (6.0, None)}
"""How many times faster, in utterances and in the full window."""
_HEADS = ["Model", "Threads", "Sound", "System", "Median", "RTFx", "CPU s per s of sound"]
_HEADS += ["edge-asr is faster by", "over the lengths"]


def measure_utterances(
    bench: Bench, *, threads: Sequence[int], lengths_s: Sequence[float] = LENGTHS_S
) -> Measured:
    """Let all systems hear the same utterances and the same full window, in turn."""
    clips = utterances(bench.english, lengths_s)
    calls = [save_sound(bench.folder, clip.path.stem, read_waveform(clip.path)) for clip in clips]
    durations_s = [clip.duration_s for clip in clips]
    longest = max(bench.english, key=lambda clip: clip.duration_s)
    window = read_waveform(longest.path)[: round(WINDOW_S * SAMPLE_RATE)]
    calls.append(save_sound(bench.folder, "window", window))
    durations_s.append(len(window) / SAMPLE_RATE)

    rows: list[list[str]] = []
    ratios: list[Ratio] = []
    curves: dict[str, list[tuple[float, float]]] = {}
    for name in bench.weights:
        for n_threads in threads:
            bench.tell(f"utterances: {name}, {n_threads} threads")
            systems = [OURS, *bench.peers_of(name)]
            entrants = [bench.entrant(system, name, n_threads) for system in systems]
            found = compete(entrants, calls, bench.repeats, tell=bench.tell)
            for part, sound in ((slice(0, -1), "utterances"), (slice(-1, None), "full window")):
                heard = {system: turns[part] for system, turns in found.items()}
                rows += _rows(name, n_threads, sound, heard, durations_s[part])
                if n_threads == max(threads):
                    ratios += _ratios(name, sound, heard)
            if n_threads == max(threads):
                curves |= {
                    f"{name}: {system}": [
                        (duration_s, each.wall_s)
                        for duration_s, each in zip(durations_s, turns, strict=True)
                    ]
                    for system, turns in found.items()
                }
    described = ", ".join(f"{duration_s:.1f}" for duration_s in durations_s[:-1])
    note = (
        f"Clips of {described} s, and {durations_s[-1]:.0f} s of speech read aloud, each heard "
        f"{bench.repeats} times by each system in turn. RTFx is sound through time over all clips; "
        "how many times faster is the median over the clips, and its range."
    )
    return Measured([Table("Utterances and a full window", note, _HEADS, rows)], ratios, curves)


def _rows(
    name: str,
    n_threads: int,
    sound: str,
    heard: dict[str, list[Turns]],
    durations_s: Sequence[float],
) -> list[list[str]]:
    rows = []
    for system, turns in heard.items():
        took_s = sum(each.wall_s for each in turns)
        used_s = sum(each.cpu_s for each in turns)
        factors = _factors(heard[OURS], turns)
        beside = [f"{middle(factors):.1f}x", f"{min(factors):.1f} to {max(factors):.1f}"]
        rows.append(
            [
                name,
                str(n_threads),
                sound,
                system,
                milliseconds(middle(each.wall_s for each in turns)),
                f"{sum(durations_s) / took_s:.1f}",
                f"{used_s / sum(durations_s):.3f}",
                *(["-", "-"] if system == OURS else beside),
            ]
        )
    return rows


def _factors(ours: Sequence[Turns], theirs: Sequence[Turns]) -> list[float]:
    return [b.wall_s / a.wall_s for a, b in zip(ours, theirs, strict=True)]


def _ratios(name: str, sound: str, heard: dict[str, list[Turns]]) -> list[Ratio]:
    found = []
    for peer, (of_utterances, of_window) in _WANTED.items():
        wanted = of_utterances if sound == "utterances" else of_window
        if wanted is None or peer not in heard:
            continue
        value = middle(_factors(heard[OURS], heard[peer]))
        times = [milliseconds(middle(t.wall_s for t in heard[each])) for each in (OURS, peer)]
        what = "2 to 10 s" if sound == "utterances" else "a full window of 30 s"
        found.append(Ratio(f"{name}, {what}", peer, times[0], times[1], value, wanted))
    return found
