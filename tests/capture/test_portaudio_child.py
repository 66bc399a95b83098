"""The process that reads a microphone: small, fast to start, and choosy about what it opens."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_asr.capture.devices import InputDevice
from edge_asr.capture.portaudio_child import _channel_counts
from edge_asr.errors import MicrophoneError

ROOT = Path(__file__).resolve().parent.parent.parent


def device(n_channels):
    return InputDevice(0, "mic", "ALSA", n_channels, 48_000, is_default=True)


def test_it_imports_nothing_heavy():
    """It starts anew every two seconds while a microphone is missing."""
    script = (
        "import sys, edge_asr.capture.portaudio_child\n"
        "print(sorted({'numpy', 'msgspec', 'soxr', 'soundfile', 'yaml'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert result.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("n_channels", "channel", "counts"),
    [
        (1, None, [1, 2]),
        (2, None, [2, 1]),
        (2, 1, [2]),
        (8, 5, [8, 6]),
        (32, None, [1, 2]),
        (32, 0, [2, 1]),
        (1, 0, [1, 2]),
        (128, 3, [4]),
    ],
)
def test_it_tries_a_real_devices_own_channels_and_few_of_a_virtual_one(n_channels, channel, counts):
    assert _channel_counts(device(n_channels), channel, None) == counts


def test_a_channel_that_a_device_lacks_is_refused():
    with pytest.raises(MicrophoneError, match="mic has 2 channels, so there is no channel 2"):
        _channel_counts(device(2), 2, None)


def test_it_opens_as_many_channels_as_it_is_told():
    assert _channel_counts(device(32), 0, 6) == [6]
    with pytest.raises(MicrophoneError, match="mic has 2 channels, so there is no channel 5"):
        _channel_counts(device(2), 0, 6)
    with pytest.raises(MicrophoneError, match="of 2 channels there is no channel 2"):
        _channel_counts(device(32), 2, 2)
