"""``log tail``: the last utterances, those to come, and what is being said."""

from __future__ import annotations

import json
import os
import select
import sys
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Self

import click

from edge_asr import entries as written
from edge_asr.cli.records_option import records_option
from edge_asr.errors import StoreError
from edge_asr.formats import one_line
from edge_asr.store import Store
from edge_asr.store.feed import Onlooker
from edge_asr.store.log import Filter

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console
    from rich.text import Text

    from edge_asr.cli.context import Context
    from edge_asr.store.log import Entry

_FOLLOW_S = 0.5
"""How often ``tail -f`` looks for more."""


@click.command()
@click.option("-n", "count", type=click.IntRange(0), default=10, show_default=True)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option(
    "--from-sound", is_flag=True, help="As it was transcribed, without what was polished since."
)
@records_option
@click.pass_obj
def tail(
    context: Context,
    count: int,
    follow: bool,  # noqa: FBT001
    from_sound: bool,  # noqa: FBT001
    output: str,
) -> None:
    """Print the last utterances, oldest first.

    On a terminal, -f also shows what is being said while it is said, if the bundle can.

    \b
    Examples:
      edge-asr log tail
      edge-asr log tail -n 100 -f
      edge-asr log tail -f --format jsonl       what is said, for a program
    """
    with Store.open(context.state_dir, readonly=True) as store:
        show = entry_printer(output)
        position = store.log.position()
        for entry in store.log.last(count, Filter(from_sound=from_sound)):
            show(entry)
        if not follow:
            return
        wait = _pause
        with ExitStack() as stack:
            if output == "text" and sys.stdout.isatty():
                wait = stack.enter_context(_Screen(context)).wait
            while True:
                more, position = store.log.since(position, from_sound=from_sound)
                for entry in more:
                    show(entry)
                if not more:
                    wait()


def _pause() -> None:
    time.sleep(_FOLLOW_S)


class _Screen:
    """Below the entries, what is being said: as the loops tell it to whoever looks on."""

    def __init__(self, context: Context) -> None:
        from rich.live import Live

        from edge_asr.cli.being_said import BeingSaid

        self._said = BeingSaid()
        self._live = Live(console=_console(), refresh_per_second=8, transient=True)
        self._onlooker = Onlooker(context.state_dir, f"tail-{os.getpid()}")
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with suppress(StoreError):  # of a store that is only ours to read there is no text so far
            self._stack.enter_context(self._onlooker)
        self._stack.enter_context(self._live)
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def wait(self) -> None:
        """Show what is being said, until there may be more in the log."""
        from rich.console import Group

        until_s = time.monotonic() + _FOLLOW_S
        while (left_s := until_s - time.monotonic()) > 0:
            if self._onlooker.fileno() < 0:
                time.sleep(left_s)
                return
            if not select.select([self._onlooker], [], [], left_s)[0]:
                return
            events = [json.loads(message) for message in self._onlooker.messages()]
            for event in events:
                self._said.take(event)
            self._live.update(Group(*self._said.lines()))
            if any(event["event"] == "transcript" for event in events):
                return


def entry_printer(output: str) -> Callable[[Entry], None]:
    """Return what prints an entry: as JSON, in colour on a terminal, with tabs in a pipe."""
    if output == "jsonl":
        return lambda entry: click.echo(json.dumps(written.fields(entry), ensure_ascii=False))
    if not sys.stdout.isatty():
        return lambda entry: click.echo(written.plain(entry))
    console = _console()
    return lambda entry: console.print(_in_colour(entry))


@cache
def _console() -> Console:
    """Return the terminal: one for all, or a live line would not give way to what is printed."""
    from rich.console import Console

    return Console(highlight=False)


def _in_colour(entry: Entry) -> Text:
    from rich.text import Text

    utterance, recognition = entry.utterance, entry.transcript.recognition
    moment = datetime.fromtimestamp(utterance.start.utc_ns / 1e9, UTC).astimezone()
    line = Text()
    line.append(f"{utterance.utterance_id:>6} {moment:%Y-%m-%d %H:%M:%S} ", style="dim")
    line.append(f"{one_line(utterance.source)} ", style="cyan")
    line.append(f"{recognition.language} ", style="dim")
    line.append(one_line(recognition.text) or "(no words)")
    if recognition.flags:
        line.append(f"  [{', '.join(recognition.flags)}]", style="yellow")
    line.append(f"  {entry.transcript.bundle}", style="dim")
    return line
