"""What a worker is asked and what it answers: one JSON object a line, over a pipe.

Peers live in a Python of their own, so this needs the standard library alone.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

READY = "ready"
"""What a worker writes when its model is loaded."""


@dataclass(frozen=True)
class Model:
    """What a worker loads, and how."""

    kind: str
    """``edge-asr``, ``faster-whisper``, ``whisper.cpp`` or ``onnx-asr``."""
    path: str
    """The weights: a bundle, a folder or a file."""
    n_threads: int
    batch_size: int = 0
    """Of a peer that hears several windows at once; 0: one after the other."""
    full_window: bool = False
    """This project alone: hear everything in Whisper's window of 30 s."""


@dataclass(frozen=True)
class Call:
    """One sound to transcribe."""

    sound: str
    """A file that ``numpy.save`` wrote: float32, 16 kHz mono."""
    language: str


@dataclass(frozen=True)
class Reply:
    """What came of it."""

    text: str
    wall_s: float
    cpu_s: float
    """Of all threads of the process."""
    flags: tuple[str, ...] = ()
    """Doubts that the system itself has."""


def to_line(record: Model | Call | Reply) -> str:
    """Return a record as one line, without its end."""
    return json.dumps(asdict(record), ensure_ascii=True)


def read_model(line: str) -> Model:
    """Read what :func:`to_line` wrote of a model."""
    return Model(**json.loads(line))


def read_call(line: str) -> Call:
    """Read what :func:`to_line` wrote of a call."""
    return Call(**json.loads(line))


def read_reply(line: str) -> Reply:
    """Read what :func:`to_line` wrote of a reply."""
    found = json.loads(line)
    return Reply(**{**found, "flags": tuple(found["flags"])})
