"""What is told of the log, as JSON objects, and under which MQTT topic."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from edge_asr.accounts import alarm_fields
from edge_asr.entries import fields, provenance
from edge_asr.store.log import Entry
from edge_asr.store.news import AlarmNews

if TYPE_CHECKING:
    from edge_asr.records import Utterance
    from edge_asr.store.news import Item

_SPOKEN = ("text", "words")
ONLINE, OFFLINE = "online", "offline"


@dataclass(frozen=True, slots=True)
class Message:
    """One message to a broker."""

    topic: str
    payload: str
    is_kept: bool = False
    """The broker keeps it for whoever subscribes later."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Where each kind of message goes."""

    root: str

    @property
    def status(self) -> str:
        """Whether we are there: ``online`` or ``offline``."""
        return f"{self.root}/status"

    @property
    def state(self) -> str:
        """How the appliance is."""
        return f"{self.root}/state"

    @property
    def alarm(self) -> str:
        """Each alarm as it is raised or cleared."""
        return f"{self.root}/alarm"

    def transcript(self, source: str) -> str:
        """Each version of a text; a source's name may hold what a topic may not."""
        return f"{self.root}/transcript/{quote(source, safe=' ')}"


def transcript_fields(entry: Entry, *, with_text: bool = True) -> dict[str, Any]:
    """Return what is told of a version of a text.

    Args:
        entry: which.
        with_text: also what was said.
    """
    told = {**fields(entry), "provenance": provenance(entry.transcript)}
    return told if with_text else {k: v for k, v in told.items() if k not in _SPOKEN}


def message_of(item: Item | Utterance, topics: Topics, *, with_text: bool) -> Message | None:
    """Return the message about something new in the log; None where there is none to be sent."""
    match item:
        case Entry():
            told = transcript_fields(item, with_text=with_text)
            topic = topics.transcript(item.utterance.source)
        case AlarmNews(alarm, active):
            told = {"state": "raised" if active else "cleared", **alarm_fields(alarm)}
            topic = topics.alarm
        case _:
            return None
    return Message(topic, json.dumps(told, ensure_ascii=False))


def state_message(condition: dict[str, Any], topics: Topics) -> Message:
    """Return the message about how the appliance is."""
    return Message(topics.state, json.dumps(condition, ensure_ascii=False), is_kept=True)
