"""Where a microphone should stand: how loud its place is, and how far speech stands out of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.capture.levels import SILENCE_DBFS
from edge_asr.cli.meter import CLIPPING_DBFS

if TYPE_CHECKING:
    from edge_asr.capture.levels import Level

_QUIET_DBFS = -36.0
"""Speech near a well-set microphone peaks between -20 and -6."""
CLEAR_DB = 20.0
"""From here on, noise costs a recognizer hardly a word."""
DROWNED_DB = 10.0
"""Below it, each decibel costs words."""
_MEMORY = 600
"""Of levels, which come about ten times a second: the place is judged by its last minute."""
_ENOUGH = 20
"""So many, two seconds, before anything is said about a place."""


@dataclass(frozen=True, slots=True)
class Place:
    """What was heard at a place."""

    background_dbfs: float
    """The power of the quietest tenth: what is there when nobody speaks."""
    speech_dbfs: float
    """The power of the loudest tenth: speech, if anybody spoke."""

    @property
    def above_background_db(self) -> float:
        """How far the one is above the other."""
        return self.speech_dbfs - self.background_dbfs

    @property
    def advice(self) -> str:
        """What to do, in a sentence."""
        if self.above_background_db >= CLEAR_DB:
            return "speech stands out clearly: a good place"
        if self.above_background_db >= DROWNED_DB:
            return (
                "speech stands out, but noise costs words: come closer, or turn it from the noise"
            )
        return (
            "speech does not stand out of the background: if somebody spoke, move the microphone "
            "closer to the mouth and away from the noise; a higher gain raises both"
        )


class Placement:
    """Judges a place by the levels that are heard there."""

    def __init__(self) -> None:
        self._rms_dbfs: deque[float] = deque(maxlen=_MEMORY)

    def add(self, level: Level) -> None:
        """Take in a level. Zeros are no place: something on the way closes when it is quiet."""
        if level.rms_dbfs > SILENCE_DBFS:
            self._rms_dbfs.append(level.rms_dbfs)

    @property
    def place(self) -> Place | None:
        """What is known of the place; None: not enough was heard."""
        if len(self._rms_dbfs) < _ENOUGH:
            return None
        ranked = sorted(self._rms_dbfs)
        return Place(ranked[len(ranked) // 10], ranked[-1 - len(ranked) // 10])


def advice(peak_dbfs: float) -> tuple[str, str]:
    """Return what a peak of the last seconds means, in words and as a colour."""
    if peak_dbfs <= SILENCE_DBFS:
        return "nothing but zeros: it is muted or broken", "red"
    if peak_dbfs < _QUIET_DBFS:
        return "too quiet: speak, come closer or turn the gain up", "yellow"
    if peak_dbfs > CLIPPING_DBFS:
        return "clipping: turn the gain down", "red"
    return "good", "green"
