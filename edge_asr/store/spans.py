"""Time as spans of one kind each: laid over one another, cut, dated, and put in a row.

Everything here is arithmetic on whole nanoseconds: what it returns never overlaps, and adds up
exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from edge_asr.store.anchors import wake_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from edge_asr.store.anchors import Wake


class SpanKind(StrEnum):
    """What a second of a source was."""

    SPEECH = "speech"
    """Stored as an utterance, with the sound kept before and after."""
    NOT_SPEECH = "not_speech"
    """Heard, and judged to be no speech; also what was too short to be."""
    MUTED = "muted"
    OVERFLOW = "overflow"
    NO_DEVICE = "no_device"
    NOT_RUNNING = "not_running"
    """Nobody listened, as far as is known."""


_STRENGTH = {
    kind: strength
    for strength, kind in enumerate(
        (
            SpanKind.NOT_RUNNING,
            SpanKind.NOT_SPEECH,
            SpanKind.NO_DEVICE,
            SpanKind.OVERFLOW,
            SpanKind.MUTED,
            SpanKind.SPEECH,
        ),
    )
}
"""Where two accounts of a moment differ, the stronger holds: sound that was stored was there."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of one kind, in nanoseconds of one clock: ``start_ns <= t < end_ns``."""

    start_ns: int
    end_ns: int
    kind: SpanKind
    detail: str = ""
    certain: bool = True
    """False where its length depends on a clock that nothing had set."""

    @property
    def duration_ns(self) -> int:
        """Its length."""
        return self.end_ns - self.start_ns


def flattened(spans: Iterable[Span]) -> list[Span]:
    """Return what is seen from above when ``spans`` are laid over one another, in order.

    Of spans over the same moment the strongest kind is seen, of one kind the one given last.
    """
    given = [span for span in spans if span.duration_ns > 0]
    edges = [(span.start_ns, True, index) for index, span in enumerate(given)]
    edges += [(span.end_ns, False, index) for index, span in enumerate(given)]
    edges.sort(key=lambda edge: edge[0])
    seen: list[Span] = []
    open_spans: dict[int, Span] = {}
    last_ns = 0
    for at_ns, opens, index in edges:
        if open_spans and at_ns > last_ns:
            top = max(open_spans, key=lambda i: (_STRENGTH[open_spans[i].kind], i))
            seen.append(replace(open_spans[top], start_ns=last_ns, end_ns=at_ns))
        last_ns = at_ns
        if opens:
            open_spans[index] = given[index]
        else:
            del open_spans[index]
    return joined(seen)


def joined(spans: Iterable[Span]) -> list[Span]:
    """Return ``spans``, which are in order, with those that continue one another in one piece."""
    result: list[Span] = []
    for span in spans:
        last = result[-1] if result else None
        if last is not None and last == replace(span, start_ns=last.start_ns, end_ns=span.start_ns):
            result[-1] = replace(last, end_ns=span.end_ns)
        else:
            result.append(span)
    return result


def clipped(spans: Iterable[Span], start_ns: int, end_ns: int) -> list[Span]:
    """Return what lies between two moments."""
    cut = (
        replace(span, start_ns=max(span.start_ns, start_ns), end_ns=min(span.end_ns, end_ns))
        for span in spans
    )
    return [span for span in cut if span.duration_ns > 0]


def filled(spans: Sequence[Span], why: str) -> list[Span]:
    """Return ``spans``, which are in order, with each hole between them as ``not_running``."""
    result: list[Span] = []
    for span in spans:
        if result and span.start_ns > result[-1].end_ns:
            result.append(Span(result[-1].end_ns, span.start_ns, SpanKind.NOT_RUNNING, why))
        result.append(span)
    return joined(result)


def dated(spans: Iterable[Span], wakes: list[Wake]) -> list[Span]:
    """Return spans of one boot, given in time since boot, in wall-clock time.

    A span over a sleep of the machine becomes two.
    """
    borders = [wake.start_monotonic_ns for wake in wakes[1:]]
    result = []
    for span in spans:
        cuts = [span.start_ns, *(b for b in borders if span.start_ns < b < span.end_ns)]
        for start_ns, end_ns in zip(cuts, [*cuts[1:], span.end_ns], strict=True):
            wake = wake_at(wakes, start_ns)
            if wake is None:
                raise ValueError("a boot without an anchor cannot be dated")
            result.append(
                replace(span, start_ns=start_ns + wake.offset_ns, end_ns=end_ns + wake.offset_ns)
            )
    return result
