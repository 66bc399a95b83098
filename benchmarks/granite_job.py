"""What one process of the Granite benchmark is asked, and what it answers."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path  # noqa: TC003 (msgspec reads the types)
from time import perf_counter, process_time

import msgspec

from benchmarks.memory import Memory  # noqa: TC001 (the same)

TOKENS_PER_S = 3.3
"""Of English read aloud. Random weights never say that a text is over."""
VERIFIED = (10, 16)
"""Tokens fed at once to verify a draft: the last one found, and 9 or 15 of the draft."""
SHARES_RIGHT = (1.0, 0.9, 0.7, 0.0)
"""Of a draft's tokens."""


class Clock(StrEnum):
    """What time is."""

    WALL = "wall"
    """What someone waits for, on a machine that does nothing else."""
    CPU = "cpu"
    """Of the processor, all threads together: what a shared machine does not change."""

    def now_s(self) -> float:
        """Return seconds since some moment."""
        return perf_counter() if self is Clock.WALL else process_time()


class Clip(msgspec.Struct, frozen=True):
    """Sound that every system hears."""

    path: Path
    """16 kHz mono."""
    duration_s: float
    n_tokens: int
    """That are decoded after it."""


class Job(msgspec.Struct, frozen=True):
    """One system, once over all clips."""

    kind: str
    """``edge-asr``, ``transformers`` or ``llama.cpp``."""
    model: Path
    """A bundle, a checkpoint or a GGUF file."""
    clips: list[Clip]
    n_threads: int
    clock: Clock
    prompt: str
    """Around the audio token ``<|audio|>``."""
    dtype: str = ""
    """Of Transformers: ``bfloat16`` or ``float32``."""
    program: Path | None = None
    """``llama-mtmd-cli``."""
    projector: Path | None = None
    """The GGUF file of the audio encoder."""

    def encode(self) -> bytes:
        """Return it as JSON."""
        return msgspec.json.encode(self, enc_hook=str)  # paths are the only types it does not know


def read_job(raw: bytes) -> Job:
    """Read what :meth:`Job.encode` wrote."""
    return msgspec.json.decode(raw, type=Job, dec_hook=lambda kind, value: kind(value))


class DraftTime(msgspec.Struct, frozen=True):
    """Decoding with a draft."""

    share_right: float
    decode_s: float
    """Without the prefill."""
    is_identical: bool
    """Whether greedy search found the same."""


class ClipTimes(msgspec.Struct, frozen=True):
    """One system on one clip."""

    duration_s: float
    n_tokens: int
    encoder_s: float
    """Features and the audio encoder."""
    prefill_s: float
    decode_s: float
    """All tokens but the first, which the prefill gives: one call each."""
    verify_s: list[float] = []
    """One call each, for as many tokens as ``VERIFIED`` says."""
    drafts: list[DraftTime] = []

    @property
    def total_s(self) -> float:
        """End to end, plain greedy."""
        return self.encoder_s + self.prefill_s + self.decode_s

    @property
    def token_s(self) -> float:
        """One decoding step."""
        return self.decode_s / max(1, self.n_tokens - 1)


class Answer(msgspec.Struct, frozen=True):
    """What a process found."""

    load_s: float
    clips: list[ClipTimes]
    steady: Memory
    """After the last clip."""
