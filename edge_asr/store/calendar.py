"""Boots put in a row on the calendar.

A boot is dated as a whole (see :mod:`edge_asr.store.anchors`), but a clock that nothing had set may
date it into the boot before it, or after the one that followed. Boots are therefore kept in the
order in which they were recorded. Of two that would overlap, the one whose clock nothing had set
gives way; if both were set, the later one does. The time between two boots is ``not_running``; how
long it was is uncertain unless both of their clocks were set.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.records import ClockQuality

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.store.anchors import Wake


@dataclass(frozen=True, slots=True)
class Life:
    """When a source was watched during one boot, and how to date that."""

    boot_id: str
    start_monotonic_ns: int
    end_monotonic_ns: int
    wakes: tuple[Wake, ...]
    """At least one."""

    @property
    def is_certain(self) -> bool:
        """Whether a time server or a battery had set the clock it is dated by."""
        return all(w.clock_quality is not ClockQuality.UNSYNCHRONISED for w in self.wakes)

    @property
    def start_utc_ns(self) -> int:
        """Its start by its own clock."""
        return self.start_monotonic_ns + self.wakes[0].offset_ns

    @property
    def end_utc_ns(self) -> int:
        """Its end by its own clock."""
        return self.end_monotonic_ns + self.wakes[-1].offset_ns


@dataclass(frozen=True, slots=True)
class Placed:
    """A life on the calendar."""

    life: Life
    moved_ns: int
    """By how much it is later than its own clock says."""

    @property
    def start_utc_ns(self) -> int:
        """Its start on the calendar."""
        return self.life.start_utc_ns + self.moved_ns

    @property
    def end_utc_ns(self) -> int:
        """Its end on the calendar."""
        return self.life.end_utc_ns + self.moved_ns

    @property
    def is_certain(self) -> bool:
        """Whether it is where it was."""
        return self.life.is_certain and not self.moved_ns


def placed(lives: Sequence[Life]) -> list[Placed]:
    """Return lives, given in the order they were recorded, in a row: none overlaps another."""
    moves = [0] * len(lives)
    following_ns: int | None = None
    for index in reversed(range(len(lives))):
        life = lives[index]
        if following_ns is not None and not life.is_certain:
            moves[index] = min(0, following_ns - life.end_utc_ns)
        following_ns = life.start_utc_ns + moves[index]
    row: list[Placed] = []
    for life, moved_ns in zip(lives, moves, strict=True):
        late_ns = row[-1].end_utc_ns - (life.start_utc_ns + moved_ns) if row else 0
        row.append(Placed(life, moved_ns + max(0, late_ns)))
    return row
