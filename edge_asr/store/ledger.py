"""The ledger: what every second of a source was. It is not kept but derived, so it cannot disagree.

For each boot, three layers lie over one another in time since boot: the watches (somebody
listened: ``not_speech``, or the state without sound that the last heartbeat tells), the gaps that
were stored, and the utterances. What no layer covers is ``not_running``. Boots are then dated and
put in a row.

A source's life reaches from the start of its first watch to the end of its last; time outside of it
is no part of any account. While its listener runs, the last watch reaches to now.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from edge_asr.records import SAMPLE_RATE, ClockQuality, SourceState
from edge_asr.store.anchors import Anchors, Wake
from edge_asr.store.calendar import Life, Placed, placed
from edge_asr.store.locks import is_listened_to
from edge_asr.store.spans import Span, SpanKind, clipped, dated, filled, flattened
from edge_asr.store.watches import WatchEnd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_asr.records import Instant
    from edge_asr.store.database import Database

_NS_PER_S = 1_000_000_000
_LONGEST_UTTERANCE_NS = 3600 * _NS_PER_S
"""More than an open file may hold; no utterance that reaches into a stretch begins earlier."""
_WHY_NOT = {
    WatchEnd.STOPPED: "listening was stopped",
    WatchEnd.CONTINUED: "",
    WatchEnd.LOST: "the listener or the power died",
}
_ANOTHER_BOOT = "the machine was down"


@dataclass(frozen=True, slots=True)
class Account:
    """What every second of a source was in a stretch of time."""

    source: str
    start_utc_ns: int
    end_utc_ns: int
    spans: tuple[Span, ...]
    """In wall-clock time, in order, without holes: the part of the source's life in the stretch."""

    @property
    def totals_ns(self) -> dict[SpanKind, int]:
        """Nanoseconds of each kind; they add up to the part of its life in the stretch."""
        totals: Counter[SpanKind] = Counter()
        for span in self.spans:
            totals[span.kind] += span.duration_ns
        return {kind: totals[kind] for kind in SpanKind}

    @property
    def outside_ns(self) -> int:
        """Time of the stretch before the source's first start, or after its last end."""
        return self.end_utc_ns - self.start_utc_ns - sum(self.totals_ns.values())

    @property
    def gaps(self) -> list[Span]:
        """The spans without sound."""
        heard = (SpanKind.SPEECH, SpanKind.NOT_SPEECH)
        return [span for span in self.spans if span.kind not in heard]


@dataclass(frozen=True, slots=True)
class _Watched:
    """A watch, as the database has it."""

    boot_id: str
    start_ns: int
    end_ns: int
    state: SourceState
    since_ns: int
    reason: WatchEnd
    start_utc_ns: int
    clock_quality: ClockQuality

    def spans(self) -> list[Span]:
        """Return what the watch alone knows."""
        heard = Span(self.start_ns, self.since_ns, SpanKind.NOT_SPEECH)
        if self.state is SourceState.HEARING:
            return [replace(heard, end_ns=self.end_ns)]
        return [heard, Span(self.since_ns, self.end_ns, SpanKind(self.state.value))]


class Ledger:
    """Reads accounts."""

    def __init__(self, database: Database, state_dir: Path) -> None:
        self._database = database
        self._state_dir = state_dir
        self._anchors = Anchors(database)

    def sources(self) -> list[str]:
        """Return the names of all sources that were ever watched."""
        return [row[0] for row in self._database.rows("SELECT DISTINCT source FROM watches")]

    def account(self, source: str, start_utc_ns: int, end_utc_ns: int, now: Instant) -> Account:
        """Return what a source was in a stretch of wall-clock time.

        Args:
            source: its name.
            start_utc_ns: where the stretch begins.
            end_utc_ns: where it ends.
            now: until then a watch that goes on is known.
        """
        watches = self._watches(source, now)
        row = placed(list(self._lives(source, watches)))
        spans = _between(row)
        for item in row:
            if item.start_utc_ns < end_utc_ns and item.end_utc_ns > start_utc_ns:
                of_boot = [w for w in watches if w.boot_id == item.life.boot_id]
                spans += self._of_life(source, item, of_boot, (start_utc_ns, end_utc_ns))
        account = clipped(filled(flattened(spans), ""), start_utc_ns, end_utc_ns)
        return Account(source, start_utc_ns, end_utc_ns, tuple(account))

    def _watches(self, source: str, now: Instant) -> list[_Watched]:
        rows = self._database.rows(
            "SELECT w.boot_id, w.start_monotonic_ns, coalesce(e.end_monotonic_ns,"
            " h.end_monotonic_ns), coalesce(e.state, h.state), coalesce(e.since_monotonic_ns,"
            " h.since_monotonic_ns), e.reason, w.start_utc_ns, w.clock_quality FROM watches w"
            " LEFT JOIN watch_ends e ON e.watch_id = w.id"
            " LEFT JOIN heartbeats h ON h.watch_id = w.id"
            " WHERE w.source = ? AND coalesce(e.id, h.watch_id) IS NOT NULL ORDER BY w.id",
            (source,),
        )
        watches = [
            _Watched(
                boot_id,
                start_ns,
                end_ns,
                SourceState(state),
                since_ns,
                WatchEnd(reason or WatchEnd.LOST),
                start_utc_ns,
                ClockQuality(quality),
            )
            for boot_id, start_ns, end_ns, state, since_ns, reason, start_utc_ns, quality in rows
        ]
        goes_on = watches and rows[-1][5] is None and watches[-1].boot_id == now.boot_id
        if goes_on and is_listened_to(self._state_dir, source):
            last = watches[-1]
            watches[-1] = replace(last, end_ns=max(last.end_ns, now.monotonic_ns))
        return watches

    def _lives(self, source: str, watches: list[_Watched]) -> Iterator[Life]:
        boots: dict[str, list[_Watched]] = {}
        for watch in watches:
            boots.setdefault(watch.boot_id, []).append(watch)
        for boot_id, of_boot in boots.items():
            first = of_boot[0]
            own = Wake(first.start_ns, first.start_utc_ns - first.start_ns, first.clock_quality)
            yield Life(
                boot_id,
                min(watch.start_ns for watch in of_boot),
                max(self._last_evidence_ns(source, boot_id), *(w.end_ns for w in of_boot)),
                tuple(self._anchors.wakes(boot_id)) or (own,),
            )

    def _of_life(
        self, source: str, item: Placed, watches: list[_Watched], stretch: tuple[int, int]
    ) -> list[Span]:
        """Return the spans of a life that may reach into a stretch, in wall-clock time."""
        offsets = [wake.offset_ns + item.moved_ns for wake in item.life.wakes]
        start_ns, end_ns = stretch[0] - max(offsets), stretch[1] - min(offsets)
        spans = [span for watch in watches for span in watch.spans()]
        for watch, following in pairwise(watches):
            why = _WHY_NOT[watch.reason]
            spans.append(Span(watch.end_ns, following.start_ns, SpanKind.NOT_RUNNING, why))
        spans += self._gaps(source, item.life.boot_id, start_ns, end_ns)
        spans += self._speech(source, item.life.boot_id, start_ns, end_ns)
        moved = [replace(w, offset_ns=w.offset_ns + item.moved_ns) for w in item.life.wakes]
        life = clipped(spans, item.life.start_monotonic_ns, item.life.end_monotonic_ns)
        return dated(flattened(clipped(life, start_ns, end_ns)), moved)

    def _last_evidence_ns(self, source: str, boot_id: str) -> int:
        """Return until when a boot is known of by what was stored, perhaps after a heartbeat."""
        last = "WHERE boot_id = ? AND source = ? ORDER BY start_monotonic_ns DESC LIMIT 1"
        rows = self._database.rows(
            "SELECT * FROM (SELECT start_monotonic_ns, CAST(n_samples AS REAL) / ?"
            f" FROM utterances {last}) UNION ALL"
            f" SELECT * FROM (SELECT start_monotonic_ns, duration_s FROM gaps {last})",
            (SAMPLE_RATE, boot_id, source, boot_id, source),
        )
        return max((at_ns + round(duration_s * 1e9) for at_ns, duration_s in rows), default=0)

    def _gaps(self, source: str, boot_id: str, start_ns: int, end_ns: int) -> list[Span]:
        rows = self._database.rows(
            "SELECT start_monotonic_ns, duration_s, kind, detail FROM gaps WHERE boot_id = ?"
            " AND source = ? AND start_monotonic_ns < ?"
            " AND start_monotonic_ns + duration_s * 1e9 > ? ORDER BY id",
            (boot_id, source, end_ns, start_ns),
        )
        return [
            Span(at_ns, at_ns + round(duration_s * 1e9), SpanKind(kind), detail)
            for at_ns, duration_s, kind, detail in rows
        ]

    def _speech(self, source: str, boot_id: str, start_ns: int, end_ns: int) -> list[Span]:
        rows = self._database.rows(
            "SELECT start_monotonic_ns, n_samples FROM utterances WHERE boot_id = ?"
            " AND source = ? AND start_monotonic_ns BETWEEN ? AND ?",
            (boot_id, source, start_ns - _LONGEST_UTTERANCE_NS, end_ns),
        )
        return [
            Span(at_ns, at_ns + n_samples * _NS_PER_S // SAMPLE_RATE, SpanKind.SPEECH)
            for at_ns, n_samples in rows
        ]


def _between(row: list[Placed]) -> list[Span]:
    """Return the times between lives."""
    return [
        Span(
            before.end_utc_ns,
            after.start_utc_ns,
            SpanKind.NOT_RUNNING,
            _ANOTHER_BOOT,
            before.is_certain and after.is_certain,
        )
        for before, after in pairwise(row)
    ]
