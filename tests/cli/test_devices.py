"""``devices`` and ``levels`` as a user calls them."""

import json
import time

import numpy as np
import pytest
import soundfile

from edge_asr.cli.placement import advice
from tests.virtual_microphone import sound_directory, virtual_microphone

__all__ = ["sound_directory", "virtual_microphone"]


@pytest.mark.microphone
def test_devices_says_what_to_write_in_the_configuration(program, virtual_microphone):
    result = program.run("devices", **virtual_microphone.variables)
    assert result.returncode == 0
    head, *rows = result.stdout.splitlines()
    assert head.split() == ["MICROPHONE", "CHANNELS", "RATE", "DEVICE"]
    assert any(row.split()[0] == "vmic" and row.endswith("name:vmic") for row in rows)
    assert any(row.split()[0] == "default" and row.endswith(" default") for row in rows)


@pytest.mark.microphone
def test_devices_can_be_read_by_programs(program, virtual_microphone):
    result = program.run("devices", "--format", "json", **virtual_microphone.variables)
    found = {device["name"]: device for device in json.loads(result.stdout)}
    assert found["vmic"]["devices"] == ["name:vmic"]
    assert found["default"]["devices"][0] == "default"
    assert found["vmic"]["sample_rate"] > 0


@pytest.mark.microphone
def test_a_machine_without_microphones_is_told_in_a_sentence(program, virtual_microphone):
    virtual_microphone.kill()
    result = program.run("devices", **virtual_microphone.variables)
    assert result.returncode == 0
    assert result.stdout.startswith("No microphone: plug one in")
    as_json = program.run("devices", "--format", "json", **virtual_microphone.variables)
    assert json.loads(as_json.stdout) == []


@pytest.mark.microphone
def test_levels_in_a_pipe_are_plain_lines_with_advice(program, virtual_microphone, tmp_path):
    time_s = np.arange(5 * 16_000) / 16_000
    soundfile.write(tmp_path / "tone.wav", 0.25 * np.sin(2 * np.pi * 300 * time_s), 16_000)
    with virtual_microphone.play(tmp_path / "tone.wav"):
        result = program.run(
            "levels", "--device", "name:vmic", "--seconds", "5", **virtual_microphone.variables
        )
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stdout
    last = result.stdout.splitlines()[-1]
    assert last.endswith("good")
    assert "peak  -12.0 dB" in last
    assert "loudest tenth 0 dB above it: speech does not stand out" in result.stderr


@pytest.mark.microphone
def test_levels_can_be_read_by_programs(program, virtual_microphone):
    arguments = ("levels", "--device", "name:vmic", "--seconds", "4", "--format", "jsonl")
    result = program.run(*arguments, **virtual_microphone.variables)
    assert result.returncode == 0, result.stderr
    last = json.loads(result.stdout.splitlines()[-1])
    assert last["state"] == "hearing"
    assert last["advice"].startswith("nothing but zeros")
    assert "background_dbfs" not in last  # zeros say nothing about a place


@pytest.mark.microphone
def test_levels_of_a_microphone_that_is_not_there_fail_with_a_sentence(program, virtual_microphone):
    started = time.monotonic()
    result = program.run(
        "levels", "--device", "card:Webcam", "--seconds", "2", **virtual_microphone.variables
    )
    assert time.monotonic() - started < 10
    assert result.returncode == 1
    assert "nothing was heard: no microphone 'card:Webcam'" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("peak_dbfs", "words"),
    [(-120.0, "zeros"), (-50.0, "too quiet"), (-12.0, "good"), (-0.1, "clipping")],
)
def test_advice_is_in_words(peak_dbfs, words):
    assert words in advice(peak_dbfs)[0]
