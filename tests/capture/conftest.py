"""What the tests of capture share: a virtual microphone, and someone who listens to it."""

import threading
import time

import numpy as np
import pytest

from edge_asr.capture.microphone import Microphone
from edge_asr.config import MicrophoneSettings
from edge_asr.records import AudioChunk, Gap, SourceState, SourceStatus
from tests.virtual_microphone import sound_directory, virtual_microphone

__all__ = ["sound_directory", "virtual_microphone"]


class Listening:
    """Listens to a microphone in a thread and keeps all it says, with the time it was said."""

    def __init__(self, settings):
        self._stop = threading.Event()
        self.microphone = Microphone(settings, self._stop)
        self.said = []
        self.error = None
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self):
        try:
            with self.microphone as source:
                for item in source:
                    self.said.append((time.monotonic(), item))
        except Exception as error:  # noqa: BLE001 (whatever it is, the test must know)
            self.error = error

    def wait_for(self, is_it, *, since=0.0, timeout_s=15.0):
        """Return the first thing said after ``since`` that ``is_it``, and when it was said."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for at, item in list(self.said):
                if at > since and is_it(item):
                    return at, item
            assert self._thread.is_alive() or self.error is None, self.error
            time.sleep(0.02)
        raise AssertionError(f"not within {timeout_s} s; said: {self.told()}")

    def stop(self):
        """Stop, and return how long that took."""
        started = time.monotonic()
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()
        assert self.error is None, self.error
        return time.monotonic() - started

    def told(self):
        """Return all that was said but sound."""
        return [item for _, item in self.said if not isinstance(item, AudioChunk)]

    def gaps(self):
        return [item for item in self.told() if isinstance(item, Gap)]

    def chunks(self):
        return [item for _, item in self.said if isinstance(item, AudioChunk)]

    def waveform(self):
        return np.concatenate([chunk.waveform for chunk in self.chunks()])


def is_sound(item):
    return isinstance(item, AudioChunk)


def is_absent(item):
    return isinstance(item, SourceStatus) and item.state is SourceState.NO_DEVICE


def is_hearing(item):
    return isinstance(item, SourceStatus) and item.state is SourceState.HEARING


def is_gap(item):
    return isinstance(item, Gap)


@pytest.fixture
def listen(monkeypatch):
    """Return a function that begins to listen in a given environment."""
    begun = []

    def begin(variables, **settings):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        begun.append(Listening(MicrophoneSettings(**settings)))
        return begun[-1]

    yield begin
    for listening in begun:
        listening.stop()
