"""Two people on two channels of one device: two sources, each with its own words and account."""

import json
import signal
import time

import jiwer
import numpy as np
import pytest
import soundfile
from whisper_normalizer.english import EnglishTextNormalizer

pytestmark = [pytest.mark.bundle, pytest.mark.microphone, pytest.mark.usefixtures("bundles")]

RATE = 16_000
CONFIG = """\
microphones:
  - {name: agent, device: "name:line", channel: 0}
  - {name: caller, device: "name:line", channel: 1}
"""
normalize = EnglishTextNormalizer()


@pytest.fixture
def spoken(sample):
    """Return two different stretches of the clip: float32, as long as each other."""
    sound, rate = soundfile.read(sample / "demo.flac", dtype="float32")
    assert rate == RATE
    half = len(sound) // 2
    return sound[:half], sound[half : 2 * half]


def transcribed(program, path):
    result = program.run("--bundle", "whisper-tiny.en", "transcribe", "--format", "json", path)
    assert result.returncode == 0, result.stderr
    return normalize(json.loads(result.stdout)["text"])


def heard_by(program, source):
    rows = [row for row in program.export() if row["source"] == source]
    return normalize(" ".join(row["text"] for row in sorted(rows, key=lambda r: r["start_utc"])))


def account(program, source):
    """Return how many seconds of a source each kind has, yesterday and today."""
    totals = {}
    for day in ("yesterday", "today"):
        result = program.run(
            "log", "ledger", "--date", day, "--source", source, "--format", "jsonl"
        )
        for line in result.stdout.splitlines():
            for kind, total_s in json.loads(line)["totals_s"].items():
                totals[kind] = totals.get(kind, 0.0) + total_s
    return totals


def test_each_channel_is_a_source_of_its_own(program, spoken, virtual_microphone, tmp_path):
    virtual_microphone.add_line("line", n_channels=2)
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG, encoding="ascii")
    both = np.stack(spoken, axis=1)
    soundfile.write(tmp_path / "both.wav", both, RATE)
    alone = {}
    for name, sound in zip(("agent", "caller"), spoken, strict=True):
        soundfile.write(tmp_path / f"{name}.wav", sound, RATE)
        alone[name] = transcribed(program, tmp_path / f"{name}.wav")
    assert jiwer.wer(alone["agent"], alone["caller"]) > 0.5

    started_s = time.monotonic()
    listeners = [
        program.start(
            *("--config", str(config), "listen", "--microphone", name, "--format", "jsonl"),
            **virtual_microphone.variables,
        )
        for name in alone
    ]
    try:
        for listener in listeners:
            while json.loads(listener.stdout.readline())["event"] != "level":
                pass
        virtual_microphone.play(tmp_path / "both.wav", "line").wait(120)
        time.sleep(1.5)
        listened_s = time.monotonic() - started_s
    finally:
        for listener in listeners:
            listener.send_signal(signal.SIGTERM)
        for listener in listeners:
            listener.communicate(timeout=20)
    recognized = program.run("--bundle", "whisper-tiny.en", "recognize", "--until-idle")
    assert recognized.returncode == 0, recognized.stderr

    for name, said in alone.items():
        assert jiwer.wer(said, heard_by(program, name)) < 0.15
        totals = account(program, name)
        assert totals["speech"] > 0.5 * len(spoken[0]) / RATE
        heard_s = totals["speech"] + totals["not_speech"]
        # Every frame of the sound that was played was counted, on either channel.
        assert len(spoken[0]) / RATE < heard_s < listened_s
        assert totals.get("overflow", 0.0) == 0.0
