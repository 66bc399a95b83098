"""Publishes the log to a broker: each transcript and alarm once, and how the appliance is.

While the broker is away nothing is read: the log itself is the queue.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from edge_asr.alarms import AlarmChange, AlarmCode
from edge_asr.bridges.following import Following
from edge_asr.bridges.home_assistant import Device
from edge_asr.bridges.messages import ONLINE, Message, Topics, message_of, state_message
from edge_asr.serve.condition import condition_of

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from edge_asr.alarming import AlarmBook
    from edge_asr.bridges.broker import Broker
    from edge_asr.config import Config
    from edge_asr.store import Store

NAME = "mqtt"
AT_ONCE = 20
AWAY_ALARM_S = 60.0
LAST_MOMENTS_S = 2.0
STATE_S = 2.0
"""How often it is asked how the appliance is."""
STEADY_S = 30.0
"""What changes all the time (the free disk, the temperature) is told so often."""
_WAIT_S = 0.25


class Publisher:
    """Publishes.

    Args:
        store: is followed; a connection of its own, which nobody writes with.
        config: what is published, and which microphones there should be.
        broker: where to.
        book: writes the alarm down that the broker is away.
        stop: ends it.
        alive: is called while it gets on, or waits for the broker.
    """

    def __init__(
        self,
        store: Store,
        config: Config,
        broker: Broker,
        book: AlarmBook,
        *,
        stop: threading.Event,
        alive: Callable[[], None],
    ) -> None:
        self._store = store
        self._config = config
        self._broker = broker
        self._book = book
        self._stop = stop
        self._alive = alive
        self._topics = Topics(config.mqtt.topic)
        self._following = Following(store, NAME, AT_ONCE)
        self._there_at_s = time.monotonic()
        self._stopped_at_s = 0.0
        self._is_away = False
        self._state = _StateTeller(self._topics)
        self._announced: set[str] = set()

    def run(self) -> None:
        """Publish until it is stopped.

        Raises:
            StoreError: the log cannot be read, or the position not be kept.
        """
        while self._goes_on():
            if not self._broker.is_there:
                self._stop.wait(_WAIT_S)
                continue
            self._tell_of_us()
            self._tell_news()
            self._following.wait(self._stop)
        detail = "publishing was stopped"
        self._book.take([AlarmChange(AlarmCode.BROKER_AWAY, active=False, detail=detail)])

    def _tell_news(self) -> None:
        with_text = self._config.mqtt.text
        messages = [
            message
            for item in self._following.news()
            if (message := message_of(item, self._topics, with_text=with_text)) is not None
        ]
        if self._broker.deliver(messages, self._may_wait):
            self._following.handed_over()

    def _tell_of_us(self) -> None:
        """Tell how the appliance is, and all that a broker we did not know has to know."""
        is_new = self._broker.is_new()
        condition = self._state.due(lambda: condition_of(self._store, self._config), now=is_new)
        if condition is None:
            return
        sources = {microphone["source"] for microphone in condition["microphones"]}
        messages = []
        if is_new or not sources <= self._announced:
            self._announced |= sources
            messages += self._introduction()
        self._broker.deliver([*messages, state_message(condition, self._topics)], self._may_wait)

    def _introduction(self) -> list[Message]:
        prefix, with_text = self._config.mqtt.discovery_prefix, self._config.mqtt.text
        online = Message(self._topics.status, ONLINE, is_kept=True)
        if prefix is None:
            return [online]
        device = Device(prefix, self._topics, with_text=with_text)
        return [*device.messages(sorted(self._announced)), online]

    def _may_wait(self) -> bool:
        """Say whether to wait for the broker: once it is stopped, only for the last moments.

        What it acknowledges then is not sent again at the next start.
        """
        if self._goes_on():
            return True
        self._stopped_at_s = self._stopped_at_s or time.monotonic()
        return self._broker.is_there and time.monotonic() - self._stopped_at_s < LAST_MOMENTS_S

    def _goes_on(self) -> bool:
        self._alive()
        now_s = time.monotonic()
        if self._broker.is_there:
            self._there_at_s = now_s
        is_away = now_s - self._there_at_s >= AWAY_ALARM_S
        if is_away != self._is_away:
            self._is_away = is_away
            detail = self._broker.why_not
            self._book.take([AlarmChange(AlarmCode.BROKER_AWAY, active=is_away, detail=detail)])
        self._book.retry()
        return not self._stop.is_set()


class _StateTeller:
    """Says when the state is to be told: at once if it is another one, else now and then."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._looked_at_s = self._told_at_s = -STEADY_S
        self._told: dict[str, Any] = {}

    def due(self, look: Callable[[], dict[str, Any]], *, now: bool) -> dict[str, Any] | None:
        """Return the state if it is to be told; ``now``: whatever it is."""
        now_s = time.monotonic()
        if now_s - self._looked_at_s < STATE_S and not now:
            return None
        self._looked_at_s = now_s
        condition = look()
        is_other = _essential(condition) != _essential(self._told)
        if not (now or is_other or now_s - self._told_at_s >= STEADY_S):
            return None
        self._told, self._told_at_s = condition, now_s
        return condition


def _essential(condition: dict[str, Any]) -> tuple[object, ...]:
    """Return what a change of is told at once."""
    if not condition:
        return ()
    recognizer, disk = condition["recognizer"], condition["disk"]
    waits = (recognizer["state"], recognizer["n_waiting"], recognizer["n_quarantined"])
    return (condition["microphones"], condition["alarms"], waits, disk["is_low"])
