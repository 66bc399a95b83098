"""Plots as inline SVG: text in, text out, no library and no script.

Colours come from the page (``.s0`` to ``.s5``, one for each system), so that light and dark are its
business; each system has a shape of its own, too.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import starmap
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.evaluation.calibration import Calibration
    from edge_asr.evaluation.summary import Row

N_COLOURS = 6
_LABEL_WIDTH, _PLOT_WIDTH, _RIGHT = 190, 520, 70
_ROW_HEIGHT, _TOP, _BOTTOM = 15, 8, 34
_SQUARE, _MARGIN = 320, 56
_MOST_PERCENT = 100.0


@dataclass(frozen=True, slots=True)
class Axis:
    """Values of one direction: from ``low`` to ``high``, drawn from ``start`` over ``length``."""

    low: float
    high: float
    start: float
    length: float

    def at(self, value: float) -> float:
        """Return where a value is drawn; what is beyond the axis is drawn at its end."""
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return round(self.start + share * self.length, 1)

    def ticks(self, n: int = 5) -> list[float]:
        """Return ``n`` + 1 values, evenly spaced."""
        return [self.low + (self.high - self.low) * index / n for index in range(n + 1)]


def shape(system: int, x: float, y: float) -> str:
    """Return the mark of one system: circle, square or diamond in its colour."""
    colour = f"s{system % N_COLOURS}"
    match system % 3:
        case 0:
            return f'<circle class="{colour}" cx="{x}" cy="{y}" r="4"/>'
        case 1:
            return f'<rect class="{colour}" x="{x - 3.5}" y="{y - 3.5}" width="7" height="7"/>'
        case _:
            points = f"{x},{y - 5} {x + 5},{y} {x},{y + 5} {x - 5},{y}"
            return f'<polygon class="{colour}" points="{points}"/>'


def rates(title: str, groups: Sequence[tuple[str, Sequence[tuple[int, Row]]]]) -> str:
    """Return error rates with their intervals, a line for each group and system.

    Args:
        title: what is shown.
        groups: name of a group, and its (number of the system, figures).
    """
    highest = max((row.rate.high or row.rate.value for _, rows in groups for _, row in rows))
    axis = Axis(0.0, min(_nice(highest), _MOST_PERCENT), _LABEL_WIDTH, _PLOT_WIDTH)
    parts, y = [], float(_TOP)
    for name, rows in groups:
        middle = y + _ROW_HEIGHT * len(rows) / 2 + 4
        parts.append(
            f'<text x="{_LABEL_WIDTH - 10}" y="{middle}" class="end">{escape(name)}</text>'
        )
        for system, row in rows:
            y += _ROW_HEIGHT
            parts.append(_rate(axis, system, row, y - _ROW_HEIGHT / 2))
        y += 8
    height = y + _BOTTOM
    grid = "".join(
        f'<line class="grid" x1="{axis.at(tick)}" y1="{_TOP}" x2="{axis.at(tick)}" y2="{y}"/>'
        f'<text x="{axis.at(tick)}" y="{y + 16}" class="middle">{tick:g} %</text>'
        for tick in axis.ticks()
    )
    return _svg(title, _LABEL_WIDTH + _PLOT_WIDTH + _RIGHT, height, grid + "".join(parts))


def _rate(axis: Axis, system: int, row: Row, y: float) -> str:
    """Return one system's figure: a mark, and a whisker over its interval."""
    rate, colour = row.rate, f"s{system % N_COLOURS}"
    whisker, right = "", rate.value
    if rate.low is not None and rate.high is not None:
        right = rate.high
        whisker = (
            f'<line class="{colour} whisker" x1="{axis.at(rate.low)}" y1="{y}"'
            f' x2="{axis.at(rate.high)}" y2="{y}"/>'
        )
    label = f'<text x="{axis.at(right) + 8}" y="{y + 4}">{rate.value:.1f}</text>'
    return whisker + shape(system, axis.at(rate.value), y) + label


def reliability(title: str, found: Sequence[tuple[int, Calibration]]) -> str:
    """Return confidence against what was right: on the dotted line it means what it says."""
    lowest = min(min(group.confidence, group.right) for _, each in found for group in each.groups)
    low = max(0.0, int(lowest * 10) / 10 - 0.1)
    across = Axis(low, 1.0, _MARGIN, _SQUARE)
    up = Axis(low, 1.0, 12 + _SQUARE, -_SQUARE)
    diagonal = (
        f'<line class="ideal" x1="{across.at(low)}" y1="{up.at(low)}"'
        f' x2="{across.at(1)}" y2="{up.at(1)}"/>'
    )
    curves = "".join(
        _curve(system, [(across.at(g.confidence), up.at(g.right)) for g in each.groups])
        for system, each in found
    )
    frame = _frame(across, up, "confidence", "share of words right", "{:.2f}")
    return _svg(title, _MARGIN + _SQUARE + 24, _SQUARE + 56, frame + diagonal + curves)


def durations(title: str, found: Sequence[tuple[int, Sequence[tuple[float, float]]]]) -> str:
    """Return decode time over length of the clip, each a point, in seconds.

    Args:
        title: what is shown.
        found: number of the system, and (length of the clip, decode time).
    """
    points = [point for _, each in found for point in each]
    across = Axis(0.0, _nice(max(length for length, _ in points)), _MARGIN, _SQUARE)
    up = Axis(0.0, _nice(max(took for _, took in points)), 12 + _SQUARE, -_SQUARE)
    marks = "".join(
        shape(system, across.at(length), up.at(took))
        for system, each in found
        for length, took in each
    )
    frame = _frame(across, up, "seconds of sound", "seconds of decoding", "{:g}")
    return _svg(title, _MARGIN + _SQUARE + 24, _SQUARE + 56, frame + f'<g class="dots">{marks}</g>')


def _curve(system: int, points: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x},{y}" for x, y in points)
    line = f'<polyline class="s{system % N_COLOURS} curve" points="{path}"/>'
    return line + "".join(starmap(lambda x, y: shape(system, x, y), points))


def _frame(across: Axis, up: Axis, below: str, beside: str, form: str) -> str:
    """Return the axes of a square plot, with their names."""
    bottom, left = up.start, across.start
    right, middle = left + _SQUARE, 12 + _SQUARE / 2
    ticks = "".join(
        f'<line class="grid" x1="{across.at(tick)}" y1="{bottom}" x2="{across.at(tick)}" y2="12"/>'
        f'<text x="{across.at(tick)}" y="{bottom + 16}" class="middle">{form.format(tick)}</text>'
        for tick in across.ticks()
    ) + "".join(
        f'<line class="grid" x1="{left}" y1="{up.at(tick)}" x2="{right}" y2="{up.at(tick)}"/>'
        f'<text x="{left - 6}" y="{up.at(tick) + 4}" class="end">{form.format(tick)}</text>'
        for tick in up.ticks()
    )
    turned = f'transform="rotate(-90 12 {middle})"'
    return (
        f'{ticks}<text x="{left + _SQUARE / 2}" y="{bottom + 36}" class="middle">{below}</text>'
        f'<text x="12" y="{middle}" class="middle" {turned}>{beside}</text>'
    )


def _svg(title: str, width: float, height: float, content: str) -> str:
    return (
        f'<svg role="img" viewBox="0 0 {width:g} {height:g}" width="{width:g}"'
        f' aria-label="{escape(title)}"><title>{escape(title)}</title>{content}</svg>'
    )


def _nice(value: float) -> float:
    """Return the next of 1, 2, 5, 10, 20, ... that is not below ``value``."""
    step = 1.0
    while step < value:
        step *= 2.5 if str(step)[0] == "2" else 2
    return step
