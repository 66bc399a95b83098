"""A recognizer that is worn out begins anew, and nobody notices."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge_asr import recycling
from edge_asr.recycling import Recycling, own_memory_mb

ROOT = Path(__file__).resolve().parent.parent


def test_age_and_memory_wear_a_process_out(monkeypatch):
    now_s = 0.0
    monkeypatch.setattr(recycling.time, "monotonic", lambda: now_s)
    monkeypatch.setattr(recycling, "own_memory_mb", lambda: 500.0)
    never, by_age, by_memory = Recycling(0, 0), Recycling(2.0, 0), Recycling(0, 400)
    now_s = 599.0  # a model that is larger than the limit must not begin anew for ever
    assert [each.is_due() for each in (never, by_age, by_memory)] == [False, False, False]
    now_s = 601.0
    assert [each.is_due() for each in (never, by_age, by_memory)] == [False, False, True]
    now_s = 7201.0
    assert [each.is_due() for each in (never, by_age, by_memory)] == [False, True, True]
    assert not Recycling(0, 501).is_due()


def test_memory_is_measured():
    """In a process of its own: this one may have memory to spare from what ran before."""
    code = (
        f"from {own_memory_mb.__module__} import own_memory_mb\n"
        "before = own_memory_mb()\n"
        "block = bytearray(b'x') * 50_000_000\n"
        "print(own_memory_mb() - before)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert 40 < float(told.stdout) < 60


@pytest.mark.bundle
@pytest.mark.usefixtures("bundles")
def test_a_recognizer_begins_anew_in_the_same_process(program, sample, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("recognition: {recycle_after_h: 0.0005}\n", encoding="ascii")
    options = ("--config", config, "--bundle", "whisper-tiny.en")
    assert program.run("listen", "--wav", sample / "demo.flac", "--fast").returncode == 0
    process = program.start(*options, "recognize", "--format", "jsonl")
    deadline_s = time.monotonic() + 60

    def began():
        with open(f"/proc/{process.pid}/auxv", "rb") as file:  # noqa: PTH123 (its address space)
            return file.read()

    while '"transcript"' not in process.stdout.readline():
        assert process.poll() is None
    first = began()
    while began() == first:
        assert process.poll() is None
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    process.terminate()
    process.communicate(timeout=60)
    rows = program.export()
    assert len(rows) >= 4
    assert {row["version"] for row in rows} == {1}
