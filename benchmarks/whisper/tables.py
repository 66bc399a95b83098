"""Figures as Markdown."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterable


class Table(msgspec.Struct, frozen=True):
    """One measurement."""

    title: str
    note: str
    """How it was made, in a sentence or two."""
    heads: list[str]
    rows: list[list[str]]

    @property
    def markdown(self) -> str:
        """The title, the note and the rows."""
        lines = [self.heads, ["---"] * len(self.heads), *self.rows]
        drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
        return f"### {self.title}\n\n{self.note}\n\n{drawn}"


class Ratio(msgspec.Struct, frozen=True):
    """One figure of ours beside a peer's, and what was aimed at."""

    what: str
    beside: str
    ours: str
    theirs: str
    value: float
    """How many times better; where ``is_limit``, the figure itself."""
    wanted: float
    unit: str = "x"
    is_limit: bool = False
    """What is wanted is the most that it may be, not the least."""

    @property
    def is_met(self) -> bool:
        """Whether it is as good as wanted."""
        return self.value <= self.wanted if self.is_limit else self.value >= self.wanted


class Measured(msgspec.Struct, frozen=True):
    """What one measurement gave."""

    tables: list[Table] = []
    ratios: list[Ratio] = []
    curves: dict[str, list[tuple[float, float]]] = {}
    """For the plot: for each system, seconds of sound and seconds they took."""


def ratio_table(ratios: Iterable[Ratio]) -> Table:
    """Return all ratios as one table."""
    rows = [
        [
            each.what,
            each.beside,
            each.ours,
            each.theirs,
            f"**{each.value:.2g}{each.unit}**",
            f"{'at most' if each.is_limit else 'at least'} {each.wanted:g}{each.unit}",
            "yes" if each.is_met else "no",
        ]
        for each in ratios
    ]
    heads = ["What", "Beside", "edge-asr", "The other", "Ratio", "Wanted", "Reached"]
    return Table("At a glance", "Medians; the tables below say how each was made.", heads, rows)


def milliseconds(seconds: float) -> str:
    """Return a time as it is shown."""
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def percentile(values: Iterable[float], share: float) -> float:
    """Return the value that a share of the others do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def middle(values: Iterable[float]) -> float:
    """Return the median."""
    return median(values)
