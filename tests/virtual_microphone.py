"""A microphone without hardware: a private PulseAudio whose loudspeaker is heard by a microphone.

The server, its sockets and its configuration live in a directory of their own; nothing of the
machine's own sound is touched. Import the fixture ``virtual_microphone`` in a ``conftest.py``.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

SINK = "sink_name=vmic rate=16000 channels=1 format=s16le"
SERVER_CONFIG = f"""\
load-module module-native-protocol-unix
load-module module-null-sink {SINK}
set-default-source vmic.monitor
"""
ALSA_CONFIG = """\
</usr/share/alsa/alsa.conf>
pcm.!default { type pulse }
ctl.!default { type pulse }
pcm.vmic { type pulse device "vmic.monitor" hint { show on description "virtual microphone" } }
"""
WAKES_AFTER_S = 2.2
"""A null sink that nobody heard until now gives its first sound up to so much later."""
NEEDED = ("pulseaudio", "pactl", "paplay")


class VirtualMicrophone:
    """A PulseAudio server of our own, and what can happen to a microphone."""

    def __init__(self, directory):
        self.directory = directory
        for name in ("run", "home"):
            (directory / name).mkdir(mode=0o700)
        (directory / "vmic.pa").write_text(SERVER_CONFIG)
        (directory / "asound.conf").write_text(ALSA_CONFIG)
        (directory / "client.conf").write_text("autospawn = no\n")
        self.variables = {
            "PULSE_RUNTIME_PATH": str(directory / "run"),
            "XDG_RUNTIME_DIR": str(directory / "run"),
            "HOME": str(directory / "home"),
            "PULSE_CLIENTCONFIG": str(directory / "client.conf"),
            "ALSA_CONFIG_PATH": str(directory / "asound.conf"),
        }
        """What a program's environment needs to hear this microphone and no other."""
        self.environ = {**os.environ, **self.variables}
        self.server = None

    def start(self):
        """Start the sound server, and wait until the microphone is there."""
        self.server = subprocess.Popen(
            [
                *("pulseaudio", "-n", "--daemonize=no", "--exit-idle-time=-1"),
                *("--use-pid-file=no", "--disable-shm=yes", "--realtime=no"),
                *("--high-priority=no", "-F", str(self.directory / "vmic.pa")),
            ],
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline = time.monotonic() + 10
        while "vmic.monitor" not in self._pactl("list", "short", "sources"):
            assert time.monotonic() < deadline, "PulseAudio did not start"
            time.sleep(0.05)

    def add_line(self, name, n_channels):
        """Plug in another device, with several channels."""
        self._pactl(
            *("load-module", "module-null-sink", f"sink_name={name}"),
            *("rate=16000", f"channels={n_channels}", "format=s16le"),
        )
        hint = f"hint {{ show on description {name} }}"
        with (self.directory / "asound.conf").open("a") as config:
            config.write(f'pcm.{name} {{ type pulse device "{name}.monitor" {hint} }}\n')

    def play(self, path, sink="vmic"):
        """Play a sound file into the microphone, or another line; return the player."""
        return subprocess.Popen(
            ["paplay", "-d", sink, str(path)],
            env=self.environ,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def unplug(self):
        """Take the microphone away; the server stays."""
        self._pactl("unload-module", "module-null-sink")

    def plug(self):
        """Bring it back."""
        self._pactl("load-module", "module-null-sink", *SINK.split())

    def freeze(self):
        """Stop the server in its tracks."""
        self.server.send_signal(signal.SIGSTOP)

    def thaw(self):
        """Let it go on."""
        self.server.send_signal(signal.SIGCONT)

    def kill(self):
        """Kill the server."""
        if self.server is not None:
            self.server.kill()
            self.server.wait()
            self.server = None

    def _pactl(self, *arguments):
        return subprocess.run(
            ["pactl", *arguments],
            env=self.environ,
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        ).stdout


@pytest.fixture
def sound_directory():
    """Return a directory whose path is short: a socket's may not exceed 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="vmic-") as directory:
        yield Path(directory)


@pytest.fixture
def virtual_microphone(sound_directory):
    """Return a virtual microphone that is plugged in."""
    if missing := [tool for tool in NEEDED if shutil.which(tool) is None]:
        pytest.skip(f"no virtual microphone without {', '.join(missing)}")
    microphone = VirtualMicrophone(sound_directory)
    microphone.start()
    yield microphone
    microphone.kill()
