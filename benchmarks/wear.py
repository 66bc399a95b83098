"""``python -m benchmarks.wear``: how much is written to the card for each hour.

A real ``edge-asr listen`` hears people talk, or a quiet room, at the pace of speech, while
``edge-asr recognize`` transcribes. Three counters are read before and after: what each process gave
to ``write`` (``wchar`` of /proc/PID/io), the pages it made dirty (``write_bytes``), and, as root,
what reached a disk of their own (a small ext4 on a loop device): there the file system's journal
counts, too, and so does each flush.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click
import numpy as np

from benchmarks.idle import make_sound
from benchmarks.machine import describe_machine
from edge_asr.audio import read_flac, write_flac
from edge_asr.records import SAMPLE_RATE
from edge_asr.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.records import Waveform

SOUNDS = ("speech", "quiet room")
SAMPLE = Path("build/sample")
_WARM_S = 15.0
"""Making the database, loading the models: once in the life of a process."""
_DISK_BYTES = 1 << 30
_SECTOR_BYTES = 512
_MB = 1e6
_WRITES, _SECTORS, _FLUSHES = 4, 6, 15
"""Places in /sys/block/DEVICE/stat (Documentation/block/stat.rst)."""


@dataclass(frozen=True, slots=True)
class Written:
    """What one process, or the disk, has written."""

    asked_bytes: int = 0
    page_bytes: int = 0
    disk_bytes: int = 0
    disk_writes: int = 0
    disk_flushes: int = 0

    def since(self, before: Written) -> Written:
        """Return how much more it is than ``before``."""
        return Written(
            self.asked_bytes - before.asked_bytes,
            self.page_bytes - before.page_bytes,
            self.disk_bytes - before.disk_bytes,
            self.disk_writes - before.disk_writes,
            self.disk_flushes - before.disk_flushes,
        )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--minutes", default=10.0, show_default=True, help="Of each sound.")
@click.option("--sound", "sounds", type=click.Choice(SOUNDS), multiple=True, default=SOUNDS)
@click.option("--clips", type=click.Path(path_type=Path), default=SAMPLE, show_default=True)
def main(minutes: float, sounds: tuple[str, ...], clips: Path) -> None:
    """Measure and print a Markdown table of what an hour writes.

    \b
    sudo python -m benchmarks.wear                           also what reaches the disk
    python -m benchmarks.wear --minutes 2 --sound speech
    """
    click.echo("\n".join(f"* {line}" for line in describe_machine()))
    click.echo(f"* {minutes:g} min of each sound; megabytes, writes and flushes for each hour\n")
    click.echo("| Sound | Who | Given to write | Pages | Disk | Writes | Flushes |")
    click.echo("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name in sounds:
        with tempfile.TemporaryDirectory(prefix="wear-") as folder, ExitStack() as stack:
            sound = make_speech(clips, 60 * minutes) if name == "speech" else None
            if sound is None:
                sound = make_sound(name, 60 * minutes)
            disk = stack.enter_context(_disk(Path(folder)))
            written, spoken_s = _measure(Path(folder), disk, sound, 60 * minutes)
            for who, each in written.items():
                click.echo(row(f"{name} ({spoken_s / minutes / 60:.0%})", who, each, minutes / 60))


def row(sound: str, who: str, written: Written, hours: float) -> str:
    """Return one line of the table."""
    sizes = [written.asked_bytes, written.page_bytes, written.disk_bytes]
    cells = [sound, who, *(f"{n / _MB / hours:.1f}" if n else "" for n in sizes)]
    cells += [f"{n / hours:.0f}" if n else "" for n in (written.disk_writes, written.disk_flushes)]
    return f"| {' | '.join(cells)} |"


def make_speech(clips: Path, seconds: float) -> Waveform:
    """Return people who talk with a second between what they say.

    Raises:
        click.ClickException: there is nothing to say.
    """
    said = [read_flac(path) for path in sorted(clips.glob("*.flac"))]
    if not said:
        raise click.ClickException(f"no FLAC files in {clips}; make them: python -m export sample")
    pause = np.zeros(SAMPLE_RATE, np.float32)
    once = np.concatenate([part for clip in said for part in (clip, pause)])
    n = int(seconds * SAMPLE_RATE)
    whole: Waveform = np.tile(once, n // len(once) + 1)[:n]
    return whole


def written_by(pid: int) -> Written:
    """Return what a process has written until now."""
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    counts = {name: int(count) for name, count in (line.split(": ") for line in lines)}
    return Written(counts["wchar"], counts["write_bytes"] - counts["cancelled_write_bytes"])


def written_to(device: str) -> Written:
    """Return what has reached a disk until now."""
    fields = Path(f"/sys/block/{device}/stat").read_text(encoding="ascii").split()
    return Written(
        disk_bytes=int(fields[_SECTORS]) * _SECTOR_BYTES,
        disk_writes=int(fields[_WRITES]),
        disk_flushes=int(fields[_FLUSHES]),
    )


def _measure(
    folder: Path, disk: str, sound: Waveform, seconds: float
) -> tuple[dict[str, Written], float]:
    """Return what each has written, and for how many seconds somebody spoke."""
    state = folder / "disk" / "state"
    write_flac(folder / "sound.flac", np.concatenate([sound[: int(_WARM_S * SAMPLE_RATE)], sound]))
    command = [sys.executable, "-m", "edge_asr.cli", "--state", str(state)]
    listen = [*command, "listen", "--wav", str(folder / "sound.flac")]
    with _running(listen) as listening, _running([*command, "recognize"]) as recognizing:
        pids = {"listen": listening.pid, "recognize": recognizing.pid}
        time.sleep(_WARM_S)
        before, spoken_s = _written(pids, state, disk), _spoken_s(state)
        time.sleep(seconds)
        ended = [process for process in (listening, recognizing) if process.poll() is not None]
        if ended:
            raise click.ClickException(f"a loop ended with the status {ended[0].returncode}")
        after = _written(pids, state, disk)
        return (
            {who: each.since(before[who]) for who, each in after.items()},
            _spoken_s(state) - spoken_s,
        )


@contextmanager
def _running(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.terminate()


def _written(pids: dict[str, int], state: Path, disk: str) -> dict[str, Written]:
    subprocess.run(["sync", "-f", str(state)], check=True)  # what is dirty was written until now
    written = {who: written_by(pid) for who, pid in pids.items()}
    return {**written, "the disk": written_to(disk)} if disk else written


def _spoken_s(state: Path) -> float:
    with Store.open(state, readonly=True) as store:
        spoken_s, number = 0.0, 1
        while utterance := store.utterances.find(number):
            spoken_s, number = spoken_s + utterance.duration_s, number + 1
        return spoken_s


@contextmanager
def _disk(folder: Path) -> Iterator[str]:
    """Have a disk of our own mounted as ``folder/disk``; yield its device's name, or nothing."""
    (folder / "disk").mkdir()
    if os.geteuid() != 0:
        yield ""
        return
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(_DISK_BYTES)
    # No lazy initialisation: the kernel would go on to write for minutes.
    options = ["-q", "-E", "lazy_itable_init=0,lazy_journal_init=0"]
    subprocess.run(["mkfs.ext4", *options, str(image)], check=True)
    found = subprocess.run(
        ["losetup", "--find", "--show", str(image)], check=True, capture_output=True, text=True
    )
    device = found.stdout.strip()
    try:
        subprocess.run(["mount", device, str(folder / "disk")], check=True)
        try:
            yield Path(device).name
        finally:
            subprocess.run(["umount", str(folder / "disk")], check=True)
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


if __name__ == "__main__":
    main(prog_name="python -m benchmarks.wear")
