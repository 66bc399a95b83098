"""What ``systemctl status`` shows of a loop: how it is, in one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge_asr.alarms import AlarmChange
from edge_asr.cli.events import load_fields
from edge_asr.cli.saying import tell
from edge_asr.records import SourceState, SourceStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.alarms import AlarmCode
    from edge_asr.backlog import Load
    from edge_asr.listen import ListenEvent
    from edge_asr.systemd import Notifier


class ListenerStatus:
    """Keeps the line about a listener true: its source's state, and the alarms that are active."""

    def __init__(self, notifier: Notifier, source: str) -> None:
        self._notifier = notifier
        self._source = source
        self._state = ""
        self._alarms: dict[AlarmCode, str] = {}
        self._told = ""

    def take(self, event: ListenEvent) -> None:
        """Take in what happened."""
        if isinstance(event, SourceStatus):
            hearing = event.state is SourceState.HEARING
            self._state = "" if hearing else f" ({event.state.value}: {event.detail})"
        elif isinstance(event, AlarmChange):
            self._alarms.pop(event.code, None)
            if event.active:
                self._alarms[event.code] = event.detail
        else:
            return
        alarms = "".join(f"; {code}: {detail}" for code, detail in self._alarms.items())
        line = f"listening to {self._source}{self._state}{alarms}"
        if line != self._told:
            self._told = line
            self._notifier.status(line)


def noted(
    show: Callable[[ListenEvent], None], notifier: Notifier, source: str
) -> Callable[[ListenEvent], None]:
    """Return ``show`` with systemd told, too."""
    status = ListenerStatus(notifier, source)

    def show_and_note(event: ListenEvent) -> None:
        show(event)
        status.take(event)

    return show_and_note


class LoadTeller:
    """Tells systemd, and with ``jsonl`` whoever reads, how much waits, when that changes."""

    def __init__(self, output: str, notifier: Notifier) -> None:
        self._output = output
        self._notifier = notifier
        self._told: Load | None = None

    def tell(self, load: Load) -> None:
        """Take in how much waits."""
        if load == self._told:
            return
        self._told = load
        self._notifier.status(load.in_words())
        if self._output == "jsonl":
            tell(json.dumps(load_fields(load)))
