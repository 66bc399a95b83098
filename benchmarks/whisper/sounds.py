"""The sounds of the benchmark: utterances of given lengths, and long ones strung together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benchmarks.whisper.protocol import Call
from edge_asr.evaluation.systems import read_waveform
from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from edge_asr.evaluation.clips import Clip
    from edge_asr.records import Waveform

_PAUSE_S = 0.7
"""Between clips that are strung together: enough for a segmenter to cut there."""


def utterances(clips: Iterable[Clip], durations_s: Sequence[float]) -> list[Clip]:
    """Return, for each length, the clip whose length is nearest; none is taken twice.

    There are fewer than lengths where there are fewer clips.
    """
    left = list(clips)
    found = []
    for duration_s in durations_s[: len(left)]:
        best = min(left, key=lambda clip: abs(clip.duration_s - duration_s))
        left.remove(best)
        found.append(best)
    return found


def strung_together(clips: Sequence[Clip], duration_s: float) -> Waveform:
    """Return so much speech: clip after clip with pauses, from the first again after the last."""
    wanted = round(duration_s * SAMPLE_RATE)
    pause = np.zeros(round(_PAUSE_S * SAMPLE_RATE), dtype=np.float32)
    parts: list[Waveform] = []
    n_samples = 0
    while n_samples < wanted:
        for clip in clips:
            parts += [read_waveform(clip.path), pause]
            n_samples += len(parts[-2]) + len(pause)
            if n_samples >= wanted:
                break
    return np.concatenate(parts)[:wanted]


def save_sound(folder: Path, name: str, waveform: Waveform, language: str = "en") -> Call:
    """Write sound where workers read it."""
    path = folder / f"{name}.npy"
    np.save(path, waveform.astype(np.float32))
    return Call(str(path), language)
