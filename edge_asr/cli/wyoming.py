"""``wyoming``: speech to text for voice assistants."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_asr.cli.saying import say
from edge_asr.cli.signals import stop_event
from edge_asr.errors import ConfigError, EdgeAsrError

if TYPE_CHECKING:
    import socket

    from edge_asr.bridges.wyoming_client import Service
    from edge_asr.cli.context import Context


@click.command()
@click.option("--host", metavar="ADDRESS", help="Listen at this address, not the configured one.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen at this port; 0: any.")
@click.option(
    "--unix-socket",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Listen at this path instead.",
)
@click.pass_obj
def wyoming(context: Context, host: str | None, port: int | None, unix_socket: Path | None) -> None:
    """Turn speech into text for Home Assistant and whatever else speaks Wyoming.

    What is sent here is neither stored nor logged. Only this machine may connect, and those that
    wyoming.allow names.

    \b
    Examples:
      edge-asr wyoming                        then add the integration Wyoming: host, port 10300
      edge-asr wyoming --host 192.168.1.20    with wyoming.allow: [192.168.1.10]
    """
    try:
        import asyncio

        from edge_asr.bridges.wyoming_server import Server, networks
    except ModuleNotFoundError as error:
        raise EdgeAsrError(
            f"{error.name} is missing; install it with: pip install 'edge-asr[wyoming]'"
        ) from error
    from edge_asr.serve.sockets import inherited, is_local, opened_as_asked
    from edge_asr.sessions import progress_told

    settings = context.config.wyoming
    allowed = networks(settings.allow)
    sockets = inherited(context.environ) or [opened_as_asked(settings, host, port, unix_socket)]
    if not allowed and not all(is_local(each) for each in sockets):
        raise ConfigError(
            "the protocol knows no token: name the machines that may connect under wyoming.allow"
        )
    notifier = context.notifier()
    stop = stop_event()
    places = ", ".join(_title(each) for each in sockets)

    def tell(sentence: str) -> None:
        say(f"edge-asr: {sentence}")

    def ready() -> None:
        notifier.ready(f"listening at {places}")
        tell(f"listening at {places}")

    server = Server(_service(context), allowed, tell)
    with progress_told(notifier.alive):
        asyncio.run(server.run(sockets, stop=stop, ready=ready, alive=notifier.alive))
    notifier.stopping()


def _service(context: Context) -> Service:
    from concurrent.futures import ThreadPoolExecutor

    from edge_asr.bridges.engine import Engine
    from edge_asr.bridges.wyoming_client import Service
    from edge_asr.bundle import find_bundle, read_manifest
    from edge_asr.capture.vad import open_vad
    from edge_asr.rewriting import configured

    config = context.config
    directory = find_bundle(context.speech_bundle_name, context.bundle_dirs)
    vad = context.open_vad_bundle()
    return Service(
        config=config,
        manifest=read_manifest(directory)[0],
        engine=Engine(context.open_recognizer, config.wyoming.release_after_s),
        rewriting=configured(config),
        open_vad=lambda: open_vad(vad),
        hearing=ThreadPoolExecutor(2, "hearing"),
    )


def _title(listening: socket.socket) -> str:
    """Return what to call a socket: as Wyoming's tools want it."""
    name = listening.getsockname()
    if listening.family.name == "AF_UNIX":
        return f"unix://{name}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"tcp://{host}:{name[1]}"
