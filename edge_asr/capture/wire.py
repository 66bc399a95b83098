"""How the process that reads the microphone talks to its parent, over a pipe.

A message is a head (kind, length) and a payload. Only the standard library is used, so that the
reading process starts fast.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

OPENED = b"O"
"""The device is open. Payload: JSON, ``device``, ``sample_rate`` (hertz), ``n_channels``."""
FRAMES = b"F"
"""Sound. Payload: :data:`_FRAMES_HEAD`, then interleaved 16-bit little-endian PCM."""
FAILED = b"X"
"""It did not work. Payload: one sentence in UTF-8. The process ends after it."""

CLOSELY = b"+"
"""To the child: say often what is heard, somebody speaks."""
CALMLY = b"-"
"""To the child: seldom is enough, and lets the processor sleep."""

_HEAD = struct.Struct("<cI")
_FRAMES_HEAD = struct.Struct("<qI?")
"""When the frames were read (``CLOCK_MONOTONIC``, nanoseconds), how many there are, whether sound
was dropped before them."""


@dataclass(frozen=True, slots=True)
class PcmFrames:
    """What one read of the device gave."""

    read_ns: int
    """``CLOCK_MONOTONIC`` when the read returned: the last frame had been captured by then."""
    n_frames: int
    overflowed: bool
    """The driver said that it dropped sound before these frames."""
    pcm: bytes
    """Interleaved, 16 bits, little-endian."""


def message(kind: bytes, payload: bytes) -> bytes:
    """Return a message, ready to be written."""
    return _HEAD.pack(kind, len(payload)) + payload


def frames_message(frames: PcmFrames) -> bytes:
    """Return a message of kind :data:`FRAMES`."""
    head = _FRAMES_HEAD.pack(frames.read_ns, frames.n_frames, frames.overflowed)
    return message(FRAMES, head + frames.pcm)


def frames_of(payload: bytes) -> PcmFrames:
    """Return what a message of kind :data:`FRAMES` holds."""
    read_ns, n_frames, overflowed = _FRAMES_HEAD.unpack_from(payload)
    return PcmFrames(read_ns, n_frames, overflowed, payload[_FRAMES_HEAD.size :])


class MessageReader:
    """Puts messages together from the pieces that a pipe delivers."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Take in ``data`` and yield each message that is now whole, as kind and payload."""
        self._pending += data
        while len(self._pending) >= _HEAD.size:
            kind, length = _HEAD.unpack_from(self._pending)
            end = _HEAD.size + length
            if len(self._pending) < end:
                return
            payload = bytes(self._pending[_HEAD.size : end])
            del self._pending[:end]
            yield kind, payload
