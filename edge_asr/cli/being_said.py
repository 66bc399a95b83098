"""What is being said at this moment, for a screen: text so far, until the final one replaces it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.text import Text

from edge_asr.formats import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.cli.events import Event


class BeingSaid:
    """Keeps the latest partial text of each source, and what waits to be transcribed."""

    def __init__(self) -> None:
        self.waiting: dict[int, float] = {}
        """Seconds of each utterance that is not transcribed yet."""
        self._partials: dict[str, Event] = {}

    def take(self, event: Event) -> None:
        """Take an event in."""
        match event["event"]:
            case "partial":
                self._partials[event["source"]] = event
            case "level":
                if not event["speaking"] and not self.waiting:
                    self._partials.pop(event["source"], None)  # it was no speech
            case "utterance":
                self.waiting[event["utterance_id"]] = event["duration_s"]
            case "transcript" | "failure":
                self.waiting.pop(event["utterance_id"], None)
                self._forget(event)
            case _:
                pass

    def lines(self) -> Iterator[Text]:
        """Yield a line for each source of which something is being said."""
        for source, event in sorted(self._partials.items()):
            yield Text(f"{one_line(source)} … {one_line(event['text'])}", style="dim")

    def _forget(self, final: Event) -> None:
        """Take away what a final text replaces; what is being said since then stays."""
        partial = self._partials.get(final["source"])
        if partial is not None and partial["start_utc"] == final["start_utc"]:
            del self._partials[final["source"]]
