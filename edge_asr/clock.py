"""Every clock there is, read at once."""

from __future__ import annotations

import ctypes
import time
from functools import cache
from pathlib import Path

from edge_asr.records import SAMPLE_RATE, ClockQuality, Instant

_TIME_ERROR = 5
"""``adjtimex``'s state when the clock is not synchronised (adjtimex(2))."""
_TIMEX_BYTES = 256
"""More than sizeof(struct timex) on every architecture (208 on 64-bit Linux)."""


def now() -> Instant:
    """Return this moment."""
    return Instant(time.time_ns(), time.monotonic_ns(), boot_id(), clock_quality())


def suspended_ns() -> int:
    """Return how long the machine slept since it booted: time that is not in ``monotonic_ns``."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()


@cache
def boot_id() -> str:
    """Return the kernel's id of this boot, or ``unknown`` where the kernel does not say."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "unknown"


def clock_quality() -> ClockQuality:
    """Say how far the wall clock can be trusted.

    The kernel knows (``adjtimex``); a system-call filter may forbid the question, then the mark
    that systemd-timesyncd leaves answers it.
    """
    if _kernel_says_synchronised() or Path("/run/systemd/timesync/synchronized").exists():
        return ClockQuality.SYNCHRONISED
    return ClockQuality.RTC if Path("/sys/class/rtc/rtc0").exists() else ClockQuality.UNSYNCHRONISED


def _kernel_says_synchronised() -> bool:
    query = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes = 0: read only
    state = int(_libc().adjtimex(query))
    return 0 <= state < _TIME_ERROR


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


class SampleClock:
    """When each sample of a stream was captured, by the last chunk whose time is known."""

    def __init__(self) -> None:
        self._anchor: tuple[int, Instant] | None = None

    def note(self, position: int, instant: Instant) -> None:
        """Note that the sample at ``position`` was captured at that instant."""
        self._anchor = (position, instant)

    def at(self, position: int) -> Instant:
        """Return when the sample at ``position`` was captured."""
        if self._anchor is None:
            raise AssertionError("speech before any chunk")
        anchor_position, instant = self._anchor
        return instant.shifted((position - anchor_position) * 1_000_000_000 // SAMPLE_RATE)
