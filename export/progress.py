"""What the export tells whoever waits for it: one line a step, on stderr."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

T = TypeVar("T")


class Reporter:
    """Writes to stderr; animates on a terminal only."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False, soft_wrap=True)

    def say(self, text: str) -> None:
        """Write one line."""
        self._console.print(text, markup=False)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Show that ``title`` is being done, and how long it took."""
        started = time.perf_counter()
        if self._console.is_terminal:
            with self._console.status(f"{title} ..."):
                yield
        else:
            yield
        self.say(f"  {title}: {time.perf_counter() - started:.1f} s")

    def track(self, items: Sequence[T], title: str) -> Iterator[T]:
        """Yield ``items`` behind a progress bar."""
        if not self._console.is_terminal:
            yield from items
            return
        columns = (
            TextColumn(f"  {title}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as progress:
            yield from progress.track(items)
