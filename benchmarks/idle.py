"""``python -m benchmarks.idle``: what listening costs while nobody speaks.

A real ``edge-asr listen`` hears silence or a factory; after a start that does not count, its
processor time and its memory are read from /proc, those of the process that reads the microphone
too. The sound comes from a virtual microphone (PulseAudio), or from a file at its own pace.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from benchmarks.machine import describe_machine
from benchmarks.memory import Memory, memory_of
from benchmarks.processes import cpu_s, family_of
from edge_asr.audio import write_flac
from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.records import Waveform

SOUNDS = ("silence", "quiet room", "factory")
_WARM_S = 10.0
"""Opening the microphone, loading, the first page faults: the life of a day starts after them."""
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Cost:
    """What one process took."""

    name: str
    cpu_s: float
    memory: Memory


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--seconds", default=60.0, show_default=True, help="Of each sound.")
@click.option("--sound", "sounds", type=click.Choice(SOUNDS), multiple=True, default=SOUNDS)
@click.option("--wav", is_flag=True, help="Hear files; no process that reads a microphone then.")
def main(seconds: float, sounds: tuple[str, ...], wav: bool) -> None:  # noqa: FBT001
    """Measure and print a Markdown table.

    \b
    python -m benchmarks.idle
    python -m benchmarks.idle --seconds 20 --sound factory --wav
    """
    click.echo("\n".join(f"* {line}" for line in describe_machine()))
    click.echo(f"* {'a file' if wav else 'a virtual microphone'}, {seconds:g} s of each sound\n")
    click.echo("| Sound | Process | Of one core | Resident | anonymous | file-backed |")
    click.echo("| --- | --- | --- | --- | --- | --- |")
    for sound in sounds:
        with tempfile.TemporaryDirectory(prefix="idle-") as folder, ExitStack() as stack:
            for cost in costs_of_listening(Path(folder), sound, seconds, stack, wav=wav):
                click.echo(row(sound, cost, seconds))


def row(sound: str, cost: Cost, seconds: float) -> str:
    """Return one process's line of the table."""
    memory = cost.memory
    held = [memory.resident, memory.anonymous, memory.file_backed]
    cells = [sound, cost.name, f"{cost.cpu_s / seconds:.2%}", *(f"{n / _MB:.0f} MB" for n in held)]
    return f"| {' | '.join(cells)} |"


def make_sound(name: str, seconds: float) -> Waveform:
    """Return sound in which nobody speaks, the same at each call.

    ``quiet room`` is a microphone's own noise at -66 dBFS. ``factory`` is machines: noise that
    falls by 3 dB an octave at -36 dBFS, the hum of motors that swells with their load, and a
    clank of metal every two seconds or so.
    """
    random = np.random.default_rng(11)
    n = int(seconds * SAMPLE_RATE)
    if name == "silence":
        return np.zeros(n, np.float32)
    if name == "quiet room":
        return (10 ** (-66 / 20) * random.standard_normal(n)).astype(np.float32)
    at_s = np.arange(n) / SAMPLE_RATE
    spectrum = np.fft.rfft(random.standard_normal(n))
    pink = np.fft.irfft(spectrum / np.sqrt(np.maximum(1, np.arange(len(spectrum)))), n)
    sound = 10 ** (-36 / 20) * pink / pink.std()
    load = 1 + 0.3 * np.sin(2 * np.pi * at_s / 7)
    for number, hertz in enumerate((49.6, 99.2, 148.8, 297.6), 1):
        sound += 0.008 / number * load * np.sin(2 * np.pi * hertz * at_s)
    for start in np.flatnonzero(random.random(int(seconds * 2)) < 0.25) * (SAMPLE_RATE // 2):
        ring_s = at_s[: min(SAMPLE_RATE // 2, n - start)]
        clank = sum(np.sin(2 * np.pi * hertz * ring_s) for hertz in (1130, 2710, 4380))
        sound[start : start + len(ring_s)] += 0.05 * clank * np.exp(-ring_s * 14)
    whole: Waveform = np.clip(sound, -1, 1).astype(np.float32)
    return whole


def costs_of_listening(
    folder: Path, sound: str, seconds: float, stack: ExitStack, *, wav: bool
) -> Iterator[Cost]:
    """Listen to one sound, and yield what each process took.

    Args:
        folder: for the sound and the state.
        sound: one of ``SOUNDS``.
        seconds: that count.
        stack: closes what is opened.
        wav: hear a file, instead of a virtual microphone.
    """
    path = folder / "sound.flac"
    write_flac(path, make_sound(sound, seconds + 3 * _WARM_S))
    command = [sys.executable, "-m", "edge_asr.cli", "--state", str(folder / "state"), "listen"]
    environment = dict(os.environ)
    if wav:
        command += ["--wav", str(path)]
    else:
        microphone = stack.enter_context(_virtual_microphone(folder / "microphone"))
        environment = microphone.environ
        player = microphone.play(path)
        stack.callback(player.wait)
        stack.callback(player.kill)
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    ) as process:
        try:
            yield from _costs_of(process, seconds)
        finally:
            process.terminate()


def _costs_of(process: subprocess.Popen[bytes], seconds: float) -> list[Cost]:
    """Let a listener warm up, and return what it and its child take.

    Raises:
        click.ClickException: it ended.
    """
    time.sleep(_WARM_S)
    before = {pid: cpu_s(pid) for pid in family_of(process.pid)}
    begun_s = time.monotonic()
    time.sleep(seconds)
    took_s = time.monotonic() - begun_s
    if process.poll() is not None:
        words = process.stderr.read().decode(errors="replace") if process.stderr else ""
        raise click.ClickException(f"edge-asr listen ended: {words[-400:]}")
    return [
        Cost(
            "listen" if pid == process.pid else "reads the microphone",
            (cpu_s(pid) - begun) * seconds / took_s,  # waiting is never exact
            memory_of(pid, children=False),
        )
        for pid, begun in before.items()
    ]


@contextmanager
def _virtual_microphone(folder: Path) -> Iterator[Any]:
    """Have a microphone without hardware, the tests' own."""
    folder.mkdir()
    microphone: Any = import_module("tests.virtual_microphone").VirtualMicrophone(folder)
    try:
        microphone.start()
        yield microphone
    finally:
        microphone.kill()


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.idle")
