"""``edge-asr hands`` as it is started, with a keyboard of the test's own."""

import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("evdev")

ROOT = Path(__file__).resolve().parents[2]
WITH_A_KEYBOARD = """
import os, struct, sys
import evdev
from edge_asr.cli import main


class Keyboard:
    name = "a pedal"

    def __init__(self, path):
        self.fd = os.open(path, os.O_RDWR | os.O_NONBLOCK)

    def active_keys(self):
        return []

    def capabilities(self):
        return {evdev.ecodes.EV_KEY: [evdev.ecodes.KEY_F13]}

    def read(self):
        size = struct.calcsize("llHHi")
        data = os.read(self.fd, 64 * size)
        for event in struct.iter_unpack("llHHi", data):
            yield evdev.InputEvent(*event)

    def close(self):
        os.close(self.fd)


evdev.InputDevice = Keyboard
main()
"""
EV_KEY, KEY_F13 = 1, 183


@pytest.fixture
def keyboard(tmp_path):
    """Return a pipe with a name that what the kernel would say is written to."""
    path = tmp_path / "keyboard"
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)
    yield (
        path,
        lambda value: os.write(descriptor, struct.pack("llHHi", 0, 0, EV_KEY, KEY_F13, value)),
    )
    os.close(descriptor)


def until_it_says(path, words, process):
    deadline_s = time.monotonic() + 20
    while not (path.exists() and path.read_text(encoding="utf-8") == words):
        assert time.monotonic() < deadline_s, process.poll()
        time.sleep(0.02)


@pytest.mark.microphone
@pytest.mark.usefixtures("bundles")
def test_a_key_mutes_what_listens_and_the_file_says_so(program, keyboard, sample, tmp_path):
    path, value = keyboard
    shown = tmp_path / "recording"
    config = tmp_path / "hands.yaml"
    config.write_text(
        f"""
microphones: [{{name: demo}}]
hands: {{key: KEY_F13, keyboard: {path}, file: {shown}}}
""",
        encoding="utf-8",
    )
    listening = program.start("listen", "--wav", sample / "demo.flac", "--format", "jsonl")
    start = [sys.executable, "-c", WITH_A_KEYBOARD, "--state", program.state, "--config", config]
    hands = subprocess.Popen([*start, "hands"], stderr=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        until_it_says(shown, "recording\n", hands)
        value(1)
        value(0)
        until_it_says(shown, "not recording\n", hands)
        status = program.run("--config", config, "mute", "--status").stdout
        assert status.startswith("demo is muted since")
        until_muted = (line for line in listening.stdout if '"state": "muted"' in line)
        assert next(until_muted)
        value(1)
        value(0)
        until_it_says(shown, "recording\n", hands)
    finally:
        for process in (hands, listening):
            process.send_signal(signal.SIGTERM)
        assert hands.wait(20) == 0
        assert listening.wait(20) == 0
        said = hands.stderr.read()
        hands.stderr.close()
        for stream in (listening.stdin, listening.stdout, listening.stderr):
            stream.close()
    assert "waiting for KEY_F13 of a pedal" in said


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("{}", "there is no key, button or light"),
        ("{key: KEY_NONSENSE}", "Linux knows no key 'KEY_NONSENSE'"),
        ("{key: KEY_F13, sources: [gate]}", "no microphone 'gate'"),
        ("{light: 'gpiochip99:1'}", "a light does not work"),
        ("{led: no-such-led}", "a light does not work"),
        ("{button: GPIO17}", "a GPIO line such as gpiochip0:17"),
    ],
)
def test_what_cannot_work_is_one_sentence(program, tmp_path, setting, words):
    config = tmp_path / "hands.yaml"
    config.write_text(f"hands: {setting}\n", encoding="utf-8")
    result = program.run("--config", config, "hands")
    assert result.returncode in {1, 78}
    assert words in result.stderr
    assert result.stderr.count("\n") == 1
