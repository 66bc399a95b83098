"""``publish``: the log to an MQTT broker."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_asr.cli.saying import say
from edge_asr.cli.signals import stop_event
from edge_asr.errors import ConfigError, EdgeAsrError

if TYPE_CHECKING:
    from edge_asr.alarms import AlarmChange
    from edge_asr.cli.context import Context


@click.command()
@click.pass_obj
def publish(context: Context) -> None:
    """Publish each transcript and alarm to an MQTT broker, and how the appliance is.

    Off until mqtt.host is set in the configuration. What is said while the broker is away is
    published once it is back; the first time it begins with what is said from then on.

    \b
    Examples:
      edge-asr publish
      mosquitto_sub -h broker -t 'edge-asr/#' -v        what it publishes
    """
    try:
        from edge_asr.bridges.broker import Broker, read_password
        from edge_asr.bridges.publishing import NAME, Publisher
    except ModuleNotFoundError as error:
        raise EdgeAsrError(
            f"{error.name} is missing; install it with: pip install 'edge-asr[mqtt]'"
        ) from error
    from edge_asr.alarming import AlarmBook
    from edge_asr.bridges.following import only_one
    from edge_asr.bridges.messages import Topics
    from edge_asr.store import Store

    settings = context.config.mqtt
    if settings.host is None:
        raise ConfigError("there is no broker to publish to: set mqtt.host in the configuration")
    password = read_password(Path(settings.password_file)) if settings.password_file else None
    notifier = context.notifier()
    stop = stop_event()

    def tell(sentence: str) -> None:
        notifier.status(sentence)
        say(f"edge-asr: {sentence}")

    def tell_alarm(change: AlarmChange) -> None:
        say(f"edge-asr: {change.code} {'raised' if change.active else 'cleared'}")

    broker = Broker(settings, password, Topics(settings.topic).status, tell)
    with (
        Store.open(context.state_dir) as writing,
        only_one(writing, NAME),
        Store.open(context.state_dir, readonly=True) as store,
    ):
        book = AlarmBook(writing, "", tell_alarm)
        publisher = Publisher(store, context.config, broker, book, stop=stop, alive=notifier.alive)
        notifier.ready(f"publishing to {settings.host}")
        with broker:
            publisher.run()
        notifier.stopping()
