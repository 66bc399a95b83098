"""Progress of work on sound files, on a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.progress import Progress


@contextmanager
def bar_of_file(name: str) -> Iterator[Callable[[float, float], None]]:
    """Show a bar that is told how many seconds are done, and of how many."""
    if not sys.stderr.isatty():
        yield lambda _done_s, _total_s: None
        return
    with _bar() as bar:
        task = bar.add_task(name, total=None)
        yield lambda done_s, total_s: bar.update(task, completed=done_s, total=total_s)


@contextmanager
def bar_of_all(title: str, total_s: float) -> Iterator[Callable[[float], None]]:
    """Show a bar that is told how many seconds more are done."""
    if not sys.stderr.isatty():
        yield lambda _more_s: None
        return
    with _bar() as bar:
        task = bar.add_task(title, total=total_s)
        yield lambda more_s: bar.advance(task, more_s)


def _bar() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as TimeRemaining

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemaining())
    return Progress(*columns, console=Console(stderr=True), transient=True)
