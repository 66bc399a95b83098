"""Alarms: what somebody should know of. Each has a code that never changes its meaning."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edge_asr.records import Instant


class AlarmCode(StrEnum):
    """What is wrong. The value is what the log, ``doctor`` and the metrics call it."""

    MIC_GONE = "MIC-GONE"
    """The microphone is absent, or gives no frames."""
    MIC_SILENT = "MIC-SILENT"
    """It gives nothing but digital zeros: muted, or its analogue half is dead."""
    MIC_STUCK = "MIC-STUCK"
    """It gives the same sample, or the same stretch of sound, again and again."""
    MIC_CLIPPING = "MIC-CLIPPING"
    """Much of its sound is at full scale: the gain is too high."""
    MIC_DEAF = "MIC-DEAF"
    """For hours it gave neither speech nor anything louder than its own noise."""
    MIC_RATE = "MIC-RATE"
    """It gives more or fewer frames per second than it says."""
    MIC_INVALID = "MIC-INVALID"
    """It gives samples that are no numbers."""
    DISK_REFUSES = "DISK-REFUSES"
    """The disk is full or failing: sound waits in memory, within a bound."""
    LOG_DAMAGED = "LOG-DAMAGED"
    """The database was damaged, or lost rows; what could be read or heard is in it again."""
    RECOGNIZER_BEHIND = "RECOGNIZER-BEHIND"
    """Speech comes faster than it is transcribed."""
    RECOGNIZER_STOPPED = "RECOGNIZER-STOPPED"
    """Utterances wait, and nothing transcribes them."""
    SECOND_PASS_OFF = "SECOND-PASS-OFF"  # noqa: S105 (no password)
    """The second pass waits, to catch up."""
    FALLBACK_BUNDLE = "FALLBACK-BUNDLE"
    """The smaller bundle transcribes, to catch up."""
    BROKER_AWAY = "BROKER-AWAY"
    """The MQTT broker cannot be reached, or refuses: what is to be published waits."""
    HOOK_FAILS = "HOOK-FAILS"
    """A hook failed again and again, and a transcript was not handed over."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """Something was wrong, from then to then."""

    alarm_id: int
    code: AlarmCode
    source: str
    """The microphone; empty: the whole appliance."""
    raised: Instant
    detail: str
    """What was seen when it was raised, in words."""
    cleared: Instant | None = None
    """None: it is still so, as far as is known."""
    cleared_detail: str = ""


@dataclass(frozen=True, slots=True)
class AlarmChange:
    """An alarm is raised or cleared."""

    code: AlarmCode
    active: bool
    detail: str
    source: str = ""
