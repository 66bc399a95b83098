"""Hours of speech, noise and silence, as fast as they can be heard: memory stays flat."""

import itertools
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.faults.board import is_whole, lost_and_doubled, rows
from tests.jsonl import read_jsonl

pytestmark = [pytest.mark.faults, pytest.mark.bundle, pytest.mark.timeout(0)]

RATE = 16_000
SETTLED = 0.3
"""After this part of the time everything has been in use once."""
MOST_GROWTH_MB = 25.0


def write_hours(path, clips, hours, seed=8):
    """Write a FLAC file of speech between silence, hum and noise: a quarter of it is speech."""
    rng = np.random.default_rng(seed)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16", format="FLAC") as file:
        n_written = 0
        for clip in itertools.cycle(clips):
            pause = np.zeros(int(rng.uniform(2, 30) * RATE), np.float32)
            kind = rng.integers(3)
            if kind == 1:
                pause += rng.normal(0, 10 ** rng.uniform(-4, -1.5), len(pause)).astype(np.float32)
            elif kind == 2:
                pause += 0.02 * np.sin(np.arange(len(pause)) * (2 * np.pi * 100 / RATE))
            file.write(np.concatenate([clip * rng.uniform(0.2, 1.0), np.clip(pause, -1, 1)]))
            n_written += len(clip) + len(pause)
            if n_written > hours * 3_600 * RATE:
                return


class Meter(threading.Thread):
    """Looks at a process every second: memory, descriptors, threads."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self._process = Path(f"/proc/{pid}")
        self.looks = []
        """(memory in MB, descriptors, threads)."""
        self.start()

    def run(self):
        while True:
            try:
                status = (self._process / "status").read_text()
                n_open = len(os.listdir(self._process / "fd"))  # noqa: PTH208 (counted, not used)
            except OSError:
                return
            fields = dict(line.split(":", 1) for line in status.splitlines())
            if "VmRSS" in fields:
                memory_mb = int(fields["VmRSS"].split()[0]) / 1024
                self.looks.append((memory_mb, n_open, int(fields["Threads"])))
            time.sleep(1.0)

    def growth(self):
        """Return by how many MB, descriptors and threads the last tenth exceeds the settled part.

        Medians, so that a single peak is no growth.
        """
        looks = np.array(self.looks)
        n = len(looks)
        settled = looks[int(SETTLED * n) : int((SETTLED + 0.1) * n) + 1]
        return np.median(looks[-max(1, n // 10) :], axis=0) - np.median(settled, axis=0)


@pytest.mark.usefixtures("whole_form")
def test_hours_leave_memory_descriptors_and_threads_as_they_were(board, sample, tally, times):
    hours = times(1, 8)
    row = tally(f"soak: {hours} h of speech, noise and silence")
    clips = [
        soundfile.read(sample / clip["path"], dtype="float32")[0]
        for clip in read_jsonl(sample / "manifest.jsonl")
        if clip["language"] == "en"
    ]
    write_hours(board.directory / "hours.flac", clips, hours)
    recognizing = board.recognize()
    recognizer = Meter(recognizing.pid)
    listening = board.listen("--wav", board.directory / "hours.flac", "--fast")
    listener = Meter(listening.pid)
    assert listening.join(timeout_s=3 * 3_600) == 0
    while any(not found.texts for found in rows(board.state)):
        assert recognizing.popen.poll() is None
        time.sleep(5.0)
    assert recognizing.stop() == 0
    row.injected = len(rows(board.state))
    row.lost, row.doubled = lost_and_doubled(board.state, [listening, recognizing])
    is_whole(board.state)
    growths = [listener.growth(), recognizer.growth()]
    peaks_mb = [max(mb for mb, *_ in meter.looks) for meter in (listener, recognizer)]
    row.seen = (
        f"utterances; listen grew by {growths[0][0]:.0f} MB (peak {peaks_mb[0]:.0f}), "
        f"recognize by {growths[1][0]:.0f} MB (peak {peaks_mb[1]:.0f}), "
        f"descriptors by {growths[0][1]:.0f} and {growths[1][1]:.0f}"
    )
    assert (row.lost, row.doubled) == (0, 0)
    for memory_mb, n_open, n_threads in growths:
        assert memory_mb < MOST_GROWTH_MB
        assert n_open <= 2
        assert n_threads <= 1
    log_bytes = board.errors.stat().st_size
    assert log_bytes < 300 * row.injected + 10_000  # a line for each, and no flood
