"""``hooks``: each transcript to the site's own programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_asr.cli.saying import say
from edge_asr.cli.signals import stop_event
from edge_asr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edge_asr.alarms import AlarmChange
    from edge_asr.cli.context import Context

_OURS = ("NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC", "LISTEN_PID", "LISTEN_FDS")
"""What systemd told us, and a command must not take for its own."""


@click.command()
@click.pass_obj
def hooks(context: Context) -> None:
    """Tell the programs and sockets under hooks in the configuration of each transcript, as JSON.

    What is said while this does not run is told at the next start; the first time a hook begins
    with what is said from then on.

    \b
    Examples:
      edge-asr hooks
      edge-asr log export --format jsonl | tail -1      what a hook gets
    """
    from edge_asr.alarming import AlarmBook
    from edge_asr.bridges.following import only_one
    from edge_asr.bridges.hooks import Complaints, Hook, run_hooks
    from edge_asr.store import Store

    configured = context.config.hooks
    if not configured:
        raise ConfigError("there is no hook: set hooks in the configuration")
    notifier = context.notifier()
    stop = stop_event()

    def tell(sentence: str) -> None:
        say(f"edge-asr: {sentence}")

    def tell_alarm(change: AlarmChange) -> None:
        tell(f"{change.code} {'raised' if change.active else 'cleared'}")

    with Store.open(context.state_dir) as writing, only_one(writing, "hooks"):
        complaints = Complaints(AlarmBook(writing, "", tell_alarm), tell)
        environ = _environ(context.environ)
        started = [
            Hook(settings, context.state_dir, complaints, environ, stop) for settings in configured
        ]
        names = ", ".join(settings.name for settings in configured)

        def ready() -> None:
            notifier.ready(f"telling {names}")
            tell(f"telling {names}")

        run_hooks(started, complaints, stop=stop, ready=ready, alive=notifier.alive)
        notifier.stopping()


def _environ(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name not in _OURS}
