"""What listening costs while nobody speaks: the idle benchmark, both its processes together."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.idle import costs_of_listening
from benchmarks.whisper.tables import Measured, Ratio, Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.whisper.bench import Bench

_WANTED_PERCENT = 1.0
_WANTED_MB = 110.0
_MB = 1e6


def measure_idle(bench: Bench, *, sounds: Sequence[str], seconds: float) -> Measured:
    """Have ``edge-asr listen`` hear sounds in which nobody speaks, from a virtual microphone.

    Without PulseAudio it hears files, which have no process that reads a microphone.
    """
    wav = shutil.which("pulseaudio") is None
    source = "a file" if wav else "a virtual microphone"
    rows = []
    ratios = []
    for sound in sounds:
        bench.tell(f"idle: {sound}")
        with tempfile.TemporaryDirectory(dir=bench.folder) as folder, ExitStack() as stack:
            listener, *reader = costs_of_listening(Path(folder), sound, seconds, stack, wav=wav)
        percent = 100 * sum(cost.cpu_s for cost in (listener, *reader)) / seconds
        memory = listener.memory
        held = [memory.resident, memory.anonymous, memory.file_backed]
        rows.append([sound, f"{percent:.2f} %", *(f"{each / _MB:.0f} MB" for each in held)])
        ratios.append(_limit(f"listening to {sound}", percent, _WANTED_PERCENT, " % of a core"))
    ratios.append(
        _limit("the listener's resident memory", memory.resident / _MB, _WANTED_MB, " MB")
    )
    note = (
        f"A real `edge-asr listen` hears {source}, {seconds:g} s of each sound after a start that "
        "does not count. The processor time is that of the listener and of the process that reads "
        "the microphone, the memory that of the listener; `python -m benchmarks.idle` has each."
    )
    heads = ["Sound", "Of one core", "Resident", "anonymous", "file-backed"]
    return Measured([Table("While nobody speaks", note, heads, rows)], ratios)


def _limit(what: str, value: float, wanted: float, unit: str) -> Ratio:
    shown = f"{value:.2f}{unit}" if value < 10 else f"{value:.0f}{unit}"
    return Ratio(what, "-", shown, "-", value, wanted, unit, is_limit=True)
