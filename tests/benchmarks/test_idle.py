"""The idle benchmark's sounds, its reading of /proc, and the command itself on a file."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest
from click.testing import CliRunner

from benchmarks import idle
from benchmarks.memory import memory_of
from benchmarks.processes import cpu_s, family_of


def test_each_sound_is_as_loud_as_it_says_and_the_same_at_each_call():
    level = {}
    for name in idle.SOUNDS:
        sound = idle.make_sound(name, 10.0)
        np.testing.assert_array_equal(sound, idle.make_sound(name, 10.0))
        assert len(sound) == 160_000
        level[name] = 10 * np.log10(np.mean(sound.astype(float) ** 2) + 1e-12)
    assert level["silence"] == pytest.approx(-120)
    assert level["quiet room"] == pytest.approx(-66, abs=0.5)
    assert -36 < level["factory"] < -28


def test_processor_time_and_memory_are_those_of_the_process_asked_about():
    script = "import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", script]) as child:
        try:
            began_s = cpu_s(os.getpid())
            until = time.process_time() + 0.3
            while time.process_time() < until:
                pass
            assert cpu_s(os.getpid()) - began_s >= 0.25
            assert cpu_s(child.pid) < 0.25
            assert family_of(os.getpid())[0] == os.getpid()
            assert child.pid in family_of(os.getpid())
            assert memory_of(os.getpid()).resident > memory_of(os.getpid(), children=False).resident
        finally:
            child.kill()
    assert cpu_s(child.pid) == 0.0
    assert family_of(child.pid) == []


@pytest.mark.bundle
def test_it_measures_a_real_listener(bundles, monkeypatch):
    monkeypatch.setattr(idle, "_WARM_S", 3.0)
    monkeypatch.setenv("EDGE_ASR_BUNDLES", str(bundles))
    arguments = ["--seconds", "2", "--sound", "quiet room", "--wav"]
    result = CliRunner().invoke(idle.main, arguments, catch_exceptions=False)
    (row,) = [line for line in result.output.splitlines() if line.startswith("| quiet room")]
    _, _, process, share, resident, *_ = (cell.strip() for cell in row.split("|"))
    assert process == "listen"
    assert 0 <= float(share.rstrip("%")) < 100
    assert 20 < int(resident.removesuffix(" MB")) < 400
