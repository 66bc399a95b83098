"""What ``run`` shows: a live screen on a terminal, plain lines elsewhere."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Self

import click
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from edge_asr.cli.being_said import BeingSaid
from edge_asr.cli.events import in_words
from edge_asr.cli.meter import CLIPPING_DBFS, bar

if TYPE_CHECKING:
    from rich.console import RenderableType

    from edge_asr.cli.events import Event

METER_WIDTH = 32


class PlainView:
    """Transcripts on stdout, everything else on stderr."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        """Nothing to put away."""

    def show(self, event: Event) -> None:
        """Print an event, unless it is a level or not the last word."""
        if event["event"] == "transcript":
            click.echo(f"{_clock(event['start_utc'])}  {event['source']}  {event['text']}")
        elif event["event"] not in {"level", "backlog", "partial"}:
            click.echo(in_words(event), err=True)

    def message(self, text: str) -> None:
        """Print a message."""
        click.echo(text, err=True)


class LiveView:
    """Transcripts scroll; below them stand each microphone's meter and state, and the backlog."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, refresh_per_second=8, transient=True)
        self._levels: dict[str, Event] = {}
        self._states: dict[str, Event] = {}
        self._load: Event = {}
        self._said = BeingSaid()

    def __enter__(self) -> Self:
        self._live.__enter__()
        self._live.update(Text("starting ...", style="dim"))
        return self

    def __exit__(self, *exc: object) -> None:
        self._live.__exit__(None, None, None)

    def show(self, event: Event) -> None:
        """Take an event in, and draw."""
        source = event["source"]
        self._said.take(event)
        match event["event"]:
            case "level":
                self._levels[source] = event
            case "partial" | "utterance":
                pass
            case "status":
                self._states[source] = event
            case "backlog":
                self._load = event
            case "alarm":
                self._console.print(Text(in_words(event), style="red"))
            case "transcript":
                if event["is_shown"]:
                    self._console.print(_transcript_line(event))
            case _:
                self._console.print(Text(in_words(event), style="yellow"))
        self._live.update(self._screen())

    def message(self, text: str) -> None:
        """Print a message above the meters."""
        self._console.print(Text(text, style="yellow"))

    def _screen(self) -> RenderableType:
        lines = [self._source_line(source) for source in sorted({*self._states, *self._levels})]
        if waiting := self._said.waiting:
            backlog_s = sum(waiting.values())
            rtf = self._load.get("rtf")
            eta = f", done in about {backlog_s * rtf:.0f} s" if rtf else ""
            words = f"transcribing: {len(waiting)} waiting, {backlog_s:.0f} s{eta}"
            lines.append(Text(words, style="cyan"))
        return Group(*lines, *self._said.lines(), Text("Ctrl-C ends", style="dim"))

    def _source_line(self, source: str) -> Text:
        state = self._states.get(source)
        if state is not None and state["state"] != "hearing":
            return Text(in_words(state), style="bold red")
        level = self._levels.get(source)
        if level is None:
            return Text(f"{source}: opening ...", style="dim")
        line = Text(f"{source} ")
        line.append(bar(level["rms_dbfs"], METER_WIDTH), style=_meter_style(level))
        line.append(f" {level['rms_dbfs']:6.1f} dB ")
        line.append(
            "● speech" if level["speaking"] else "○ quiet",
            style="bold green" if level["speaking"] else "dim",
        )
        return line


def _meter_style(level: Event) -> str:
    return "red" if level["peak_dbfs"] > CLIPPING_DBFS else "green"


def _transcript_line(event: Event) -> Text:
    line = Text(f"{_clock(event['start_utc'])} ", style="dim")
    line.append(f"{event['source']} ", style="cyan")
    line.append(event["text"] or "(no words)", style="default" if event["text"] else "dim")
    if event["flags"]:
        line.append(f"  [{', '.join(event['flags'])}]", style="yellow")
    return line


def _clock(start_utc: str) -> str:
    """Return the local time of day of an RFC 3339 instant."""
    return datetime.fromisoformat(start_utc).astimezone().strftime("%H:%M:%S")
