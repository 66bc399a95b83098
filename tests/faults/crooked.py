"""A microphone that lies: a pipe that gives what its sound server did not promise."""

import os
import threading
import time

import numpy as np

from tests.virtual_microphone import ALSA_CONFIG

RATE = 16_000
NAME = "crooked"
_STEP_S = 0.02
_ALSA = f"""{ALSA_CONFIG}
pcm.{NAME} {{ type pulse device "{NAME}" hint {{ show on description "{NAME} microphone" }} }}
"""


class CrookedMicrophone:
    """A source of the virtual microphone's server that is fed by a thread.

    Args:
        server: the running virtual microphone.
        sample_format: what PulseAudio takes it for: ``s16le`` or ``float32le``.
        pace: samples for each one that its rate promises.
        spoil: what is done to each stretch of float sound, shape ``(n_samples,)``.
    """

    def __init__(self, server, sample_format="s16le", pace=1.0, spoil=lambda sound: sound):
        self._dtype = {"s16le": "<i2", "float32le": "<f4"}[sample_format]
        self._pace = pace
        self._spoil = spoil
        self._fifo = server.directory / "crooked"
        server._pactl(
            *("load-module", "module-pipe-source", f"source_name={NAME}", f"file={self._fifo}"),
            *(f"format={sample_format}", f"rate={RATE}", "channels=1"),
        )
        (server.directory / "asound.conf").write_text(_ALSA)
        self._stop = threading.Event()
        self._feeder = threading.Thread(target=self._feed, daemon=True)
        self._feeder.start()

    def _feed(self):
        rng = np.random.default_rng(7)
        began_s, n_fed = time.monotonic(), 0
        with self._fifo.open("wb", buffering=0) as pipe:
            os.set_blocking(pipe.fileno(), False)
            while not self._stop.wait(_STEP_S):
                n_due = int((time.monotonic() - began_s) * RATE * self._pace) - n_fed
                sound = self._spoil(rng.normal(0, 0.01, n_due))
                scaled = sound * 32_768 if self._dtype == "<i2" else sound
                try:
                    os.write(pipe.fileno(), scaled.astype(self._dtype).tobytes())
                except BlockingIOError:  # nobody listens: it is lost
                    pass
                except BrokenPipeError:
                    return
                n_fed += n_due

    def end(self):
        """Fall silent."""
        self._stop.set()
        self._feeder.join()
