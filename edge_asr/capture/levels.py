"""How loud a stretch of sound is."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from edge_asr.records import Waveform

SILENCE_DBFS = -120.0
"""What digital silence is called; 16-bit sound has nothing below -90 but zero."""
_SILENCE_AMPLITUDE = 10 ** (SILENCE_DBFS / 20)


@dataclass(frozen=True, slots=True)
class Level:
    """How loud, in decibels relative to full scale: 0 is the loudest there is."""

    rms_dbfs: float
    """The mean power; a full-scale square wave has 0, a full-scale sine -3."""
    peak_dbfs: float
    """The largest sample; 0 means that the sound is clipped."""


def level_of(waveform: Waveform) -> Level:
    """Return how loud ``waveform`` is; an empty one is silence."""
    if not len(waveform):
        return Level(SILENCE_DBFS, SILENCE_DBFS)
    rms = math.sqrt(float(np.mean(np.square(waveform, dtype=np.float64))))
    return Level(_dbfs(rms), _dbfs(float(np.abs(waveform).max())))


def _dbfs(amplitude: float) -> float:
    return 20 * math.log10(max(amplitude, _SILENCE_AMPLITUDE))
