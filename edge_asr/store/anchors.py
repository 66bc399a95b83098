"""Anchors: what the wall clock said at moments of a boot, to date the rest of the boot by.

A board without a battery boots in 1970, or at the hour it went down, and learns the time later.
Time since boot (``monotonic_ns``) runs evenly all along, so one good pair of clocks dates every
moment of the boot, also those before it. A boot is dated by its last synchronised anchor; without
one, by its last: whoever set the clock by hand knew better. As a whole: a jump of the wall clock
neither hides a second of a boot nor makes one double.

A machine that sleeps is dated in pieces, one for each time it was awake, since time since boot
stands still while it sleeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.clock import suspended_ns
from edge_asr.records import ClockQuality, Instant
from edge_asr.store.chain import append

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_asr.store.database import Database

JUMP_NS = 500_000_000
"""A change of the wall clock against time since boot that is more than slewing and jitter."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """Two clocks, read at once."""

    boot_id: str
    monotonic_ns: int
    utc_ns: int
    suspended_ns: int
    """How long the machine had slept since boot."""
    clock_quality: ClockQuality

    @property
    def offset_ns(self) -> int:
        """Wall clock less time since boot."""
        return self.utc_ns - self.monotonic_ns


@dataclass(frozen=True, slots=True)
class Wake:
    """A stretch of a boot without sleep, and how to date it."""

    start_monotonic_ns: int
    """It reaches to the next one's start, and the first of a boot back to the boot."""
    offset_ns: int
    """Wall clock less time since boot."""
    clock_quality: ClockQuality
    """Of the anchor that it is dated by."""


def wakes_of(anchors: Iterable[Anchor]) -> list[Wake]:
    """Return how to date one boot, given its anchors in the order they were noted."""
    stretches: list[list[Anchor]] = []
    for anchor in anchors:
        slept = stretches and anchor.suspended_ns - stretches[-1][-1].suspended_ns > JUMP_NS
        if slept or not stretches:
            stretches.append([])
        stretches[-1].append(anchor)
    wakes = []
    for stretch in stretches:
        trusted = [a for a in stretch if a.clock_quality is ClockQuality.SYNCHRONISED]
        best = (trusted or stretch)[-1]
        wakes.append(Wake(stretch[0].monotonic_ns, best.offset_ns, best.clock_quality))
    return wakes


def wake_at(wakes: list[Wake], monotonic_ns: int) -> Wake | None:
    """Return the wake a moment falls into; None where nothing is known of the boot."""
    begun = [wake for wake in wakes if wake.start_monotonic_ns <= monotonic_ns]
    return begun[-1] if begun else (wakes[0] if wakes else None)


class Anchors:
    """The anchors of all boots."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._last: Anchor | None = None

    def note(self, moment: Instant) -> bool:
        """Note what the clocks say, if that is news; whether it is.

        News is the first word of a boot, a jump, a sleep, and another quality of the clock.

        Raises:
            StoreError: the disk refuses.
        """
        anchor = Anchor(
            moment.boot_id,
            moment.monotonic_ns,
            moment.utc_ns,
            suspended_ns(),
            moment.clock_quality,
        )
        if not _is_news(anchor, self._last):
            return False
        with self._database.transaction():
            # Another listener of this boot may have noted it.
            self._last = self._last_of(moment.boot_id)
            news = _is_news(anchor, self._last)
            if news:
                self._add(anchor)
                self._last = anchor
        return news

    def wakes(self, boot_id: str) -> list[Wake]:
        """Return how to date a boot."""
        return wakes_of(self._of(boot_id))

    def _of(self, boot_id: str) -> list[Anchor]:
        rows = self._database.rows(
            "SELECT boot_id, monotonic_ns, utc_ns, suspended_ns, clock_quality"
            " FROM clock_anchors WHERE boot_id = ? ORDER BY id",
            (boot_id,),
        )
        return [
            Anchor(boot, monotonic_ns, utc_ns, slept_ns, ClockQuality(quality))
            for boot, monotonic_ns, utc_ns, slept_ns, quality in rows
        ]

    def _last_of(self, boot_id: str) -> Anchor | None:
        anchors = self._of(boot_id)
        return anchors[-1] if anchors else None

    def _add(self, anchor: Anchor) -> int:
        rows = self._database.rows(
            "INSERT INTO clock_anchors (boot_id, monotonic_ns, utc_ns, suspended_ns, clock_quality)"
            " VALUES (?, ?, ?, ?, ?) RETURNING id",
            (
                anchor.boot_id,
                anchor.monotonic_ns,
                anchor.utc_ns,
                anchor.suspended_ns,
                anchor.clock_quality.value,
            ),
        )
        append(self._database, "clock_anchors", rows[0][0])
        return int(rows[0][0])


def _is_news(anchor: Anchor, last: Anchor | None) -> bool:
    return (
        last is None
        or anchor.boot_id != last.boot_id
        or anchor.clock_quality is not last.clock_quality
        or abs(anchor.offset_ns - last.offset_ns) > JUMP_NS
        or abs(anchor.suspended_ns - last.suspended_ns) > JUMP_NS
    )
