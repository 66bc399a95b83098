"""Whether a bundle suits this machine: by the memory it takes, and by its pace.

Nothing is lost on a slow machine, since every utterance is stored first; the question is how long
its text takes, and whether the machine ever gets to the end of a day's speech.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_asr.manifest import Manifest

SPEECH_FAMILIES = ("whisper", "granite")
"""Families that have a pace: what they take for a second of sound."""
LIVE_RTF = 0.5
"""Up to this real-time factor half of the time is left for everything else."""
SPEECH_HOURS_A_DAY = 4
"""What a busy microphone hears."""
HOPELESS_RTF = 24 / SPEECH_HOURS_A_DAY
_MB = 1 << 20
_BASE_BYTES = 150 * _MB
_FACTOR = 2
"""Working memory of recognition: a base, and twice the bundle. Measured at their peak: whisper-base
(135 MB) 416 MB, whisper-tiny.en (84 MB) 313 MB."""
_PREPARED_BASE_BYTES = 350 * _MB
_PREPARED_FACTOR = 1.1
"""Of a prepared bundle, its graphs are mapped once; tables of embeddings are read row by row.
Measured at their peak: Granite int8 (graphs of 2.1 GB) 2.5 GB, of which 0.34 GB are its own."""
_GRAPH = ".onnx"


class Verdict(StrEnum):
    """What can be expected of a bundle."""

    LIVE = "live"
    """Its text comes as people speak."""
    BARELY = "barely live"
    """It keeps up with someone who never pauses, with nothing to spare."""
    LATER = "later"
    """It falls behind while people speak, and catches up when they do not."""
    HOPELESS = "hopeless"
    """It would not get to the end of a day's speech within the day, or has no room at all."""
    UNKNOWN = "unknown"
    """There is room; its pace was not measured."""


@dataclass(frozen=True, slots=True)
class Fit:
    """A verdict, and why, in a sentence."""

    verdict: Verdict
    sentence: str


@dataclass(frozen=True, slots=True)
class MachineMemory:
    """In bytes."""

    total: int
    available: int
    """What can be had without swapping, as the kernel estimates it."""


def machine_memory(path: Path = Path("/proc/meminfo")) -> MachineMemory:
    """Return this machine's memory."""
    lines = path.read_text(encoding="ascii").splitlines()
    found = {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if " kB" in line}
    return MachineMemory(found.get("MemTotal", 0), found.get("MemAvailable", 0))


def memory_needed(manifest: Manifest, *, is_prepared: bool) -> int:
    """Return about how many bytes recognition with a bundle takes at its peak."""
    sizes = {name: entry.size for name, entry in manifest.files.items()}
    if is_prepared:
        graphs = sum(size for name, size in sizes.items() if _GRAPH in name)
        return _PREPARED_BASE_BYTES + int(_PREPARED_FACTOR * graphs)
    return _BASE_BYTES + _FACTOR * sum(sizes.values())


def judge(needed_bytes: int, memory: MachineMemory, rtf: float | None) -> Fit:
    """Judge a bundle.

    Args:
        needed_bytes: memory that it takes.
        memory: of the machine.
        rtf: its real-time factor there, without the help of drafts; None: it was not measured.
    """
    room = f"about {_mb(needed_bytes)} of memory"
    if needed_bytes > memory.total:
        return Fit(Verdict.HOPELESS, f"it takes {room}, and this machine has {_mb(memory.total)}")
    if rtf is None:
        return Fit(Verdict.UNKNOWN, f"it takes {room}; how fast it is here was not measured")
    pace = f"a minute of speech takes {_duration(60 * rtf)} (RTF {rtf:.2f}), and {room}"
    if rtf <= LIVE_RTF:
        return Fit(Verdict.LIVE, f"it keeps up: {pace}")
    if rtf <= 1:
        return Fit(Verdict.BARELY, f"it keeps up, with little to spare: {pace}")
    if rtf <= HOPELESS_RTF:
        return Fit(Verdict.LATER, f"it falls behind while people speak: {pace}")
    return Fit(
        Verdict.HOPELESS,
        f"it would not get through {SPEECH_HOURS_A_DAY} hours of speech in a day: {pace}",
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004


def _mb(n_bytes: int) -> str:
    return f"{n_bytes / 1e6:.0f} MB"
