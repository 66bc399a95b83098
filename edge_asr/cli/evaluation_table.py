"""An evaluation as tables on a terminal, and as the same words in a pipe."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.evaluation.intervals import Interval
    from edge_asr.evaluation.summary import Row, Share, Summary
    from edge_asr.evaluation.translation import Quality

_WIDTH_IN_A_PIPE = 160


def print_summaries(summaries: Sequence[Summary]) -> None:
    """Print the systems side by side, then their error rates by language and by tag."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=_WIDTH_IN_A_PIPE)
    console.print(_systems(summaries))
    for title, groups in (
        ("language", [each.languages for each in summaries]),
        ("tag", [each.tags for each in summaries]),
    ):
        if any(groups):
            console.print(_groups(title, summaries, groups))
    console.print("In brackets: 95 % confidence, by bootstrap over the clips.")


def print_qualities(found: Sequence[Quality]) -> None:
    """Print how good translations are."""
    console = Console(highlight=False)
    table = Table(title="Translations", title_justify="left")
    for heading in ("system", "language"):
        table.add_column(heading)
    for heading in ("clips", "BLEU", "chrF"):
        table.add_column(heading, justify="right")
    for each in found:
        figures = (str(each.n_clips), f"{each.bleu:.1f}", f"{each.chrf:.1f}")
        table.add_row(each.system, each.language, *figures)
    console.print(table)


def _systems(summaries: Sequence[Summary]) -> Table:
    table = Table(title="Systems", title_justify="left")
    table.add_column("system", overflow="fold")
    for heading in (
        *("WER %", "above the first", "S", "D", "I", "invented /min", "keywords", "language"),
        *("RTF", "latency p50 / p95 s"),
    ):
        table.add_column(heading, justify="right")
    for each in summaries:
        errors = each.total.errors if each.total else None
        table.add_row(
            each.system,
            interval(each.total.rate) if each.total else "-",
            signed(each.above_first) if each.above_first else "",
            *(
                [str(errors.substitutions), str(errors.deletions), str(errors.insertions)]
                if errors
                else ["-"] * 3
            ),
            f"{each.invented.per_minute:.2f}" if each.invented.n_clips else "-",
            share(each.keywords),
            share(each.detected),
            f"{each.speed.rtf:.3f}",
            f"{each.speed.latency_p50_s:.2f} / {each.speed.latency_p95_s:.2f}",
        )
    return table


def _groups(title: str, summaries: Sequence[Summary], groups: Sequence[Sequence[Row]]) -> Table:
    table = Table(title=f"Error rate by {title}, %", title_justify="left")
    table.add_column(title)
    table.add_column("clips", justify="right")
    for each in summaries:
        table.add_column(each.system, justify="right", overflow="fold")
    rows = [{row.group: row for row in found} for found in groups]
    for group in dict.fromkeys(name for found in rows for name in found):
        cells = [found.get(group) for found in rows]
        known = [row for row in cells if row is not None]
        name = f"{group} (characters)" if known[0].is_by_character else group
        shown = ("-" if row is None else interval(row.rate) for row in cells)
        table.add_row(name, str(known[0].n_clips), *shown)
    return table


def interval(found: Interval) -> str:
    """Return a figure with its interval, where there is one: ``4.10 [3.2, 5.0]``."""
    if found.low is None or found.high is None:
        return f"{found.value:.2f}"
    return f"{found.value:.2f} \\[{found.low:.1f}, {found.high:.1f}]"


def signed(found: Interval) -> str:
    """Return a difference with its interval, where there is one: ``+0.30 [-0.1, +0.7]``."""
    if found.low is None or found.high is None:
        return f"{found.value:+.2f}"
    return f"{found.value:+.2f} \\[{found.low:+.1f}, {found.high:+.1f}]"


def share(found: Share) -> str:
    """Return ``93 % of 120``; a dash for none of none."""
    return f"{found.percent:.0f} % of {found.of}" if found.of else "-"
