"""The parent's side of the process that reads a microphone: start it, hear it, kill it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import threading
import time
from contextlib import suppress
from fcntl import F_SETPIPE_SZ, fcntl
from typing import TYPE_CHECKING, Self

from edge_asr.capture import wire
from edge_asr.capture.devices import CHILD_MODULE

if TYPE_CHECKING:
    from types import TracebackType

    from edge_asr.config import MicrophoneSettings

_PIPE_BYTES = 1 << 20
"""What an unprivileged process may ask for; five seconds of 48 kHz stereo, in case a slow disk
holds up the parent."""
_KILL_TIMEOUT_S = 1.0
"""The kernel may take long to free a broken device; nobody waits for it."""


class PortAudioChild:
    """One life of the reading process. Leaving the context kills it.

    The process dies with the thread that started it.
    """

    def __init__(self, settings: MicrophoneSettings) -> None:
        request = {
            "device": settings.device,
            "channel": settings.channel,
            "channels": settings.channels,
            "sample_rate": settings.sample_rate,
            "parent_pid": os.getpid(),
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", CHILD_MODULE, "read", json.dumps(request)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C in the terminal is for the parent
        )
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("it was asked for pipes")
        self._orders, self._pipe = self._process.stdin, self._process.stdout
        self._ordering = threading.Lock()
        with suppress(OSError):  # many pipes may have used up what a user may have
            fcntl(self._pipe, F_SETPIPE_SZ, _PIPE_BYTES)
        self._poll = select.poll()
        self._poll.register(self._pipe, select.POLLIN | select.POLLHUP)
        self._reader = wire.MessageReader()
        self._last_word_s = time.monotonic()
        self.silent_s = 0.0
        """For how long it had said nothing when it was last looked at. Only a look that finds
        nothing counts: it may be this process that was held up."""
        self.has_ended = False
        """Whether it said its last word."""

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def attend(self, *, closely: bool) -> None:
        """Have it say often what it hears, or seldom; any thread may call this."""
        order = wire.CLOSELY if closely else wire.CALMLY
        with self._ordering, suppress(OSError, ValueError):  # it is dead, or being closed
            os.write(self._orders.fileno(), order)

    def messages(self, timeout_s: float) -> list[tuple[bytes, bytes]]:
        """Return what it says, as kind and payload; nothing when it is silent for ``timeout_s``."""
        if not self._poll.poll(timeout_s * 1000):
            self.silent_s = time.monotonic() - self._last_word_s
            return []
        self._last_word_s, self.silent_s = time.monotonic(), 0.0
        data = os.read(self._pipe.fileno(), _PIPE_BYTES)
        self.has_ended = not data
        return list(self._reader.feed(data))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._pipe.close()
        with self._ordering, suppress(OSError):
            self._orders.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_KILL_TIMEOUT_S)
