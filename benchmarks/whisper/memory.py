"""Memory of a process that has a recognizer in it: at its peak, and when all is quiet again."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchmarks.memory import PeakMemory, memory_of
from benchmarks.whisper.bench import FASTER_WHISPER, OURS
from benchmarks.whisper.contest import Worker
from benchmarks.whisper.sounds import save_sound, utterances
from benchmarks.whisper.tables import Measured, Ratio, Table
from benchmarks.whisper.utterances import LENGTHS_S
from edge_asr.evaluation.systems import read_waveform

if TYPE_CHECKING:
    from benchmarks.memory import Memory
    from benchmarks.whisper.bench import Bench
    from benchmarks.whisper.protocol import Call

_WANTED = 1 / 0.8
_MB = 1e6
_ROUNDS = 2
_N_PROCESSES = 3
_LOOK_S = 0.1
_HEADS = ["Model", "System", "Peak resident", "anonymous", "file-backed"]
_HEADS += ["After utterances, resident", "anonymous", "file-backed"]


def measure_memory(bench: Bench, *, n_threads: int) -> Measured:
    """Have each system hear utterances, in a fresh process, and look at what it holds."""
    clips = utterances(bench.english, LENGTHS_S)
    calls = [save_sound(bench.folder, clip.path.stem, read_waveform(clip.path)) for clip in clips]
    rows = []
    ratios = []
    for name in bench.weights:
        bench.tell(f"memory: {name}")
        after: dict[str, Memory] = {}
        for system in [OURS, *bench.peers_of(name)]:
            peak, after[system] = _median(
                [_watch(bench, system, name, n_threads, calls) for _ in range(_N_PROCESSES)]
            )
            rows.append([name, system, *_cells(peak), *_cells(after[system])])
        ours, theirs = after[OURS].resident, after[FASTER_WHISPER].resident
        ratios.append(
            Ratio(
                f"{name}, resident memory after utterances",
                FASTER_WHISPER,
                f"{ours / _MB:.0f} MB",
                f"{theirs / _MB:.0f} MB",
                theirs / ours,
                _WANTED,
            )
        )
    note = (
        "A process with the system and one model in it, from its start through utterances of 2 to "
        f"10 s; {n_threads} threads; of {_N_PROCESSES} such processes, the one in the middle. "
        "edge-asr gives back what is free after each utterance, as in service. Anonymous memory is "
        "its own; file-backed memory is a copy of files that the system may take back."
    )
    return Measured([Table("Memory", note, _HEADS, rows)], ratios)


def _median(found: list[tuple[Memory, Memory]]) -> tuple[Memory, Memory]:
    """Return of processes the one that is in the middle by what it holds at the end."""
    return sorted(found, key=lambda each: each[1].resident)[len(found) // 2]


def _watch(
    bench: Bench, system: str, name: str, n_threads: int, calls: list[Call]
) -> tuple[Memory, Memory]:
    """Return what a system's process holds at its peak, and at the end."""
    with Worker(bench.entrant(system, name, n_threads)) as worker:
        with PeakMemory(worker.pid, every_s=_LOOK_S) as watch:
            worker.load()
            for _ in range(_ROUNDS):
                for call in calls:
                    worker.transcribe(call)
        return watch.peak, memory_of(worker.pid)


def _cells(memory: Memory) -> list[str]:
    held = (memory.resident, memory.anonymous, memory.file_backed)
    return [f"{each / _MB:.0f} MB" for each in held]
