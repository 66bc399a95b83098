"""The project's own speech sample."""

import json

import numpy as np
import pytest
import soundfile

from export.errors import SampleError
from export.recipe import read_yaml
from export.sample import DEMO, PAUSE_S, PROMPTS, Prompts, build_sample

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Return a folder with a tone in place of every prompt, at the packages' 8 kHz."""
    folder = tmp_path_factory.mktemp("sounds")
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 8000)
    for voice in read_yaml(PROMPTS, Prompts).voices:
        for prompt in voice.prompts:
            path = folder / voice.folder / f"{prompt.file}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, tone, 8000, subtype="PCM_16")
    return folder


@pytest.fixture
def espeak(tmp_path, monkeypatch, sounds):
    """Put a stand-in for espeak-ng first on the PATH, so that the test needs no package."""
    some = next(sounds.rglob("*.wav"))
    program = tmp_path / "bin" / "espeak-ng"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ncp "{some}" "$4"\n', encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@pytest.mark.usefixtures("espeak")
def test_it_is_flac_at_16_khz_with_a_manifest(sounds, tmp_path):
    build_sample(tmp_path / "sample", sounds=sounds)

    lines = (tmp_path / "sample" / "manifest.jsonl").read_text(encoding="utf-8").splitlines()
    listed = [json.loads(line) for line in lines]
    assert {line["language"] for line in listed} == {"en", "es", "fr", "de", "pt"}
    assert len({line["path"] for line in listed}) == len(listed) == 22
    for line in listed:
        info = soundfile.info(tmp_path / "sample" / line["path"])
        assert (info.samplerate, info.channels, info.format) == (16_000, 1, "FLAC")
        assert info.duration == pytest.approx(line["duration_s"], abs=0.001) == 2.0
    synthetic = [line["language"] for line in listed if "synthetic" in line["tags"]]
    assert synthetic == ["de", "pt"]


@pytest.mark.usefixtures("espeak")
def test_the_demo_strings_english_prompts_together_with_pauses(sounds, tmp_path):
    build_sample(tmp_path / "sample", sounds=sounds)

    text = (tmp_path / "sample" / "demo.txt").read_text(encoding="utf-8").splitlines()
    demo, _ = soundfile.read(tmp_path / "sample" / DEMO)
    assert len(text) == 6
    assert len(demo) == 6 * int((2.0 + PAUSE_S) * 16_000)
    assert np.abs(demo[32_000 : 32_000 + int(PAUSE_S * 16_000)]).max() == 0.0


@pytest.mark.usefixtures("espeak")
def test_it_is_the_same_every_time(sounds, tmp_path):
    for name in ("first", "second"):
        build_sample(tmp_path / name, sounds=sounds)

    for path in (tmp_path / "first").iterdir():
        assert path.read_bytes() == (tmp_path / "second" / path.name).read_bytes()


def test_a_missing_voice_names_the_package(tmp_path):
    with pytest.raises(SampleError, match="apt-get install asterisk-core-sounds-en-wav"):
        build_sample(tmp_path / "sample", sounds=tmp_path)

    assert not (tmp_path / "sample").exists()


def test_a_missing_synthesizer_names_the_package(sounds, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SampleError, match="apt-get install espeak-ng"):
        build_sample(tmp_path / "sample", sounds=sounds)
