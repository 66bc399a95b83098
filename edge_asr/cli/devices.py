"""``devices`` and ``levels``: which microphones there are, and how loud one hears."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from typing import TYPE_CHECKING

import click
import msgspec
from rich.console import Console
from rich.live import Live
from rich.text import Text

from edge_asr.capture.devices import list_microphones, telling_identities
from edge_asr.capture.levels import Level, level_of
from edge_asr.capture.microphone import Microphone
from edge_asr.cli.meter import bar
from edge_asr.cli.placement import Placement, advice
from edge_asr.cli.records_option import document_option, print_jsonl, records_option
from edge_asr.cli.saying import say
from edge_asr.cli.signals import stop_event
from edge_asr.errors import MicrophoneError
from edge_asr.records import AudioChunk, SourceState, SourceStatus

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_asr.capture.devices import InputDevice
    from edge_asr.cli.context import Context

_ANY_NUMBER = 32
"""Virtual devices claim so many channels or more."""
_METER_WIDTH = 30
_MEMORY_CHUNKS = 30
"""Advice is about the last three seconds: between words it does not change."""
_LINE_INTERVAL_S = 1.0


@click.command()
@document_option
def devices(output: str) -> None:
    """List the microphones of this machine, and what to write in the configuration.

    What is listed stays the same when the machine restarts or a microphone is plugged in again.

    \b
    Examples:
      edge-asr devices
      edge-asr devices --format json
    """
    found = list_microphones()
    if output == "jsonl":
        print_jsonl(_as_fields(each, found) for each in found)
    elif output == "json":
        click.echo(json.dumps([_as_fields(each, found) for each in found], indent=2))
    elif found:
        click.echo("\n".join(_table(found)))
        click.echo("\nWrite one of the last column as the microphone's device.", err=True)
    else:
        click.echo(
            "No microphone: plug one in, or check that this user may use sound (group audio).",
        )


def _identities(device: InputDevice, found: Sequence[InputDevice]) -> list[str]:
    default = ["default"] if device.is_default else []
    return [*default, *telling_identities(device, found)]


def _as_fields(device: InputDevice, found: Sequence[InputDevice]) -> dict[str, object]:
    return {
        "name": device.name,
        "host_api": device.host_api,
        "n_channels": device.n_channels,
        "sample_rate": device.sample_rate,
        "is_default": device.is_default,
        "devices": _identities(device, found),
    }


def _table(found: Sequence[InputDevice]) -> list[str]:
    width = max(len("MICROPHONE"), *(len(device.name) for device in found))
    lines = [f"{'MICROPHONE':{width}}  CHANNELS  RATE       DEVICE"]
    for device in found:
        channels = "any" if device.n_channels >= _ANY_NUMBER else str(device.n_channels)
        head = f"{device.name:{width}}  {channels:<8}  {device.sample_rate:>6} Hz  "
        for identity in _identities(device, found):
            lines.append(f"{head}{identity}")
            head = " " * len(head)
    return lines


@click.command()
@click.option("--device", metavar="DEVICE", help="Which microphone; else the first configured.")
@click.option("--seconds", type=click.FloatRange(min=0.1), help="Stop after so long.")
@records_option
@click.pass_obj
def levels(context: Context, device: str | None, seconds: float | None, output: str) -> None:
    """Show how loud a microphone hears, live. Ctrl-C ends it.

    Speak as loud and from as far as it will be used, and pause: the meter says if the gain is
    right, and at the end how far speech stood out of what is there without it. That is what a
    better place improves; a higher gain does not.

    \b
    Examples:
      edge-asr levels
      edge-asr levels --device usb:0d8c:0014 --seconds 10
      edge-asr levels --seconds 60 --format jsonl > place-1.jsonl
    """
    settings = context.config.microphones[0]
    if device is not None:
        settings = msgspec.structs.replace(settings, device=device)
    stop = stop_event()
    if seconds is not None:
        timer = threading.Timer(seconds, stop.set)
        timer.daemon = True
        timer.start()
    with Microphone(settings, stop) as microphone:
        _LevelView(microphone, output).show()


class _LevelView:
    """A meter: one live line on a terminal, a line each second elsewhere."""

    def __init__(self, microphone: Microphone, output: str) -> None:
        self._microphone = microphone
        self._output = output
        self._placement = Placement()
        self._recent: deque[Level] = deque(maxlen=_MEMORY_CHUNKS)
        self._status = SourceStatus(SourceState.NO_DEVICE, "opening it")
        self._has_heard = False
        self._told_s = time.monotonic()

    def show(self) -> None:
        """Show levels until the microphone is stopped.

        Raises:
            MicrophoneError: it was not heard at all.
        """
        console = Console(highlight=False)
        if self._output == "jsonl":
            for _ in self._updates():
                if self._is_due():
                    print_jsonl([self._fields()])
        elif console.is_terminal:
            with Live(self._line(), console=console, refresh_per_second=10) as live:
                for _ in self._updates():
                    live.update(self._line())
        else:
            for _ in self._updates():
                if self._is_due():
                    click.echo(self._line().plain)
        if not self._has_heard:
            raise MicrophoneError(f"nothing was heard: {self._status.detail}")
        self._sum_up()

    def _is_due(self) -> bool:
        """Say whether it is time for another line."""
        if time.monotonic() - self._told_s < _LINE_INTERVAL_S:
            return False
        self._told_s = time.monotonic()
        return True

    def _sum_up(self) -> None:
        place = self._placement.place
        if place is not None:
            say(
                f"background {place.background_dbfs:.1f} dB, loudest tenth "
                f"{place.above_background_db:.0f} dB above it: {place.advice}"
            )

    def _updates(self) -> Iterator[None]:
        for item in self._microphone:
            if isinstance(item, AudioChunk):
                self._has_heard = True
                level = level_of(item.waveform)
                self._recent.append(level)
                self._placement.add(level)
            elif isinstance(item, SourceStatus):
                self._status = item
                self._recent.clear()
            yield

    def _line(self) -> Text:
        if not self._recent:
            return Text(f"no sound: {self._status.detail}", style="red")
        now, peak_dbfs = self._recent[-1], max(level.peak_dbfs for level in self._recent)
        words, style = advice(peak_dbfs)
        line = Text(f"{now.rms_dbfs:6.1f} dB  ")
        line.append(bar(now.rms_dbfs, _METER_WIDTH), style=style)
        line.append(f"  peak {peak_dbfs:6.1f} dB  {words}", style=style)
        return line

    def _fields(self) -> dict[str, object]:
        place = self._placement.place
        heard: dict[str, object] = {"state": self._status.state.value}
        if self._recent:
            peak_dbfs = max(level.peak_dbfs for level in self._recent)
            heard = {
                "state": "hearing",
                "rms_dbfs": round(self._recent[-1].rms_dbfs, 1),
                "peak_dbfs": round(peak_dbfs, 1),
                "advice": advice(peak_dbfs)[0],
            }
        if place is not None:
            heard["background_dbfs"] = round(place.background_dbfs, 1)
            heard["above_background_db"] = round(place.above_background_db, 1)
        return heard
