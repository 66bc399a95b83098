"""The benchmark of what is written: its counters are the kernel's, and it measures real loops."""

import os
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import wear
from edge_asr.audio import write_flac


def test_a_process_is_charged_for_what_it_writes_to_a_disk(tmp_path):
    """Tmpfs is no disk: where the test runs on one, only what was given to write is compared."""
    script = "import os,sys; f = open(sys.argv[1], 'wb'); f.write(bytes(1 << 20)); f.flush();"
    script += "os.fsync(f.fileno()); print('done', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(tmp_path / "file")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == b"done\n"
        written = wear.written_by(process.pid)
        process.communicate(b"\n")
    assert 1 << 20 <= written.asked_bytes < (1 << 20) + 10_000
    assert written.page_bytes in (0, *range(1 << 20, (1 << 20) + 100_000))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_disk_of_its_own_counts_what_reaches_it_and_is_taken_away_again(tmp_path):
    try:
        with wear._disk(tmp_path) as device:
            before = wear.written_to(device)
            with (tmp_path / "disk" / "file").open("wb") as file:
                file.write(bytes(1 << 20))
                file.flush()
                os.fsync(file.fileno())
            written = wear.written_to(device).since(before)
            assert 1 << 20 <= written.disk_bytes < 2 << 20
            assert written.disk_flushes >= 1
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no loop devices here ({error})")
    assert not (tmp_path / "disk" / "file").exists()


def test_a_row_is_for_an_hour():
    written = wear.Written(2_000_000, 4_000_000)
    assert wear.row("speech", "listen", written, 0.5) == "| speech | listen | 4.0 | 8.0 |  |  |  |"


def test_people_talk_for_as_long_as_is_asked(tmp_path):
    write_flac(tmp_path / "a.flac", np.full(16_000, 0.5, np.float32))
    sound = wear.make_speech(tmp_path, 4.5)
    assert len(sound) == 72_000
    assert np.mean(sound[:64_000] > 0.4) == 0.5
    with pytest.raises(wear.click.ClickException, match="no FLAC files"):
        wear.make_speech(tmp_path / "nowhere", 1.0)


@pytest.mark.bundle
def test_it_measures_real_loops(bundles, sample, monkeypatch):
    monkeypatch.setattr(wear, "_WARM_S", 6.0)
    monkeypatch.setenv("EDGE_ASR_BUNDLES", str(bundles))
    arguments = ["--minutes", "0.15", "--sound", "speech", "--clips", str(sample)]
    result = CliRunner().invoke(wear.main, arguments, catch_exceptions=False)
    (row,) = [line for line in result.output.splitlines() if "| listen |" in line]
    asked_mb = float(row.split("|")[3])
    assert 50 < asked_mb < 1000  # an hour of 16-bit sound alone is 115 MB
