"""A source that can be muted: what it hears meanwhile goes no further than memory.

It stands between a source and whoever takes its sound, so nothing behind it (a queue, a file, a
level meter) ever has what was heard while it was muted. The device stays open: it is heard again at
once, and its absence is noticed.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from edge_asr.capture.stream import instant_at
from edge_asr.records import AudioChunk, Gap, GapKind, SourceState, SourceStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Item = AudioChunk | Gap | SourceStatus

STATUS_INTERVAL_NS = 1_000_000_000
_DETAIL = "nothing is recorded until edge-asr unmute"


class Muting:
    """Passes on what a source gives, but for the sound of the time in which it is muted.

    While muted it yields a :class:`SourceStatus` at first and each second; afterwards a
    :class:`Gap`, and what the source last said about itself. Sound counts by when it was captured:
    what was heard before it was unmuted is dropped, however late it comes.

    Args:
        source: what is heard. It gives something at least each second.
        is_muted: is asked before each item is passed on.
    """

    def __init__(self, source: Iterable[Item], is_muted: Callable[[], bool]) -> None:
        self._source = source
        self._is_muted = is_muted
        self._since_ns: int | None = None
        """Since when it is muted, ``CLOCK_MONOTONIC``."""
        self._unmuted_ns = 0
        self._told_ns = 0
        self._status: SourceStatus | None = None

    def __iter__(self) -> Iterator[Item]:
        if self._is_muted():
            yield from self._mute(time.monotonic_ns())
        for item in self._source:
            if self._is_muted():
                yield from self._hold_back(item)
            else:
                yield from self._unmute()
                yield from self._pass_on(item)
        yield from self._muted_time()

    def _hold_back(self, item: Item) -> Iterator[Item]:
        now_ns = time.monotonic_ns()
        if self._since_ns is None:
            yield from self._mute(min(now_ns, _start_ns(item, now_ns)))
        elif now_ns - self._told_ns >= STATUS_INTERVAL_NS:
            yield from self._tell(now_ns)
        if isinstance(item, SourceStatus):
            self._status = item
        elif isinstance(item, Gap):
            yield from self._before(item)

    def _pass_on(self, item: Item) -> Iterator[Item]:
        if isinstance(item, SourceStatus):
            self._status = item
        if isinstance(item, AudioChunk) and item.start.monotonic_ns < self._unmuted_ns:
            return
        yield item

    def _before(self, gap: Gap) -> Iterator[Gap]:
        """Yield what of a gap was before it was muted: the rest is muted time."""
        since_ns = self._since_ns or 0
        before_s = (since_ns - gap.start.monotonic_ns) / 1e9
        if before_s > 0:
            yield replace(gap, duration_s=min(before_s, gap.duration_s))

    def _mute(self, since_ns: int) -> Iterator[SourceStatus]:
        self._since_ns = max(since_ns, self._unmuted_ns)
        yield from self._tell(time.monotonic_ns())

    def _tell(self, now_ns: int) -> Iterator[SourceStatus]:
        self._told_ns = now_ns
        absent = self._status is not None and self._status.state is SourceState.NO_DEVICE
        why = f"; no microphone: {self._status.detail}" if absent and self._status else ""
        yield SourceStatus(SourceState.MUTED, _DETAIL + why)

    def _unmute(self) -> Iterator[Item]:
        if self._since_ns is None:
            return
        self._unmuted_ns = time.monotonic_ns()
        yield from self._muted_time()
        self._since_ns = None
        if self._status is not None:
            yield self._status

    def _muted_time(self) -> Iterator[Gap]:
        if self._since_ns is not None:
            duration_s = (time.monotonic_ns() - self._since_ns) / 1e9
            yield Gap(GapKind.MUTED, instant_at(self._since_ns), duration_s, "muted by hand")


def _start_ns(item: Item, now_ns: int) -> int:
    """Return from when on an item is held back: gaps and words about the source are not sound."""
    return item.start.monotonic_ns if isinstance(item, AudioChunk) else now_ns
