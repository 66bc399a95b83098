"""``serve``: the page and the API."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_asr.cli.signals import stop_event
from edge_asr.errors import ConfigError, EdgeAsrError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from socket import socket

    from edge_asr.cli.context import Context
    from edge_asr.serve.access import Access

NICENESS = 5
"""Whoever reads gives way to whoever listens."""


@click.command()
@click.option("--host", metavar="ADDRESS", help="Listen at this address, not the configured one.")
@click.option("--port", type=click.IntRange(0, 65535), help="Listen at this port; 0: any.")
@click.option(
    "--unix-socket",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Listen at this path instead.",
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Let in who sends the first line of this file.",
)
@click.option("--until-stdin-closes", "is_child", is_flag=True, hidden=True)
@click.pass_obj
def serve(
    context: Context,
    host: str | None,
    port: int | None,
    unix_socket: Path | None,
    token_file: Path | None,
    is_child: bool,  # noqa: FBT001
) -> None:
    """Show what is heard in a browser, and answer other programs.

    Only this machine can ask, unless another address is given, which needs a token.

    \b
    Examples:
      edge-asr serve                          then open http://127.0.0.1:8089
      edge-asr serve --unix-socket /run/edge-asr/api.sock
      edge-asr serve --host 192.168.1.20 --token-file /etc/edge-asr/token
    """
    try:
        from edge_asr.rewriting import configured
        from edge_asr.serve.server import run, site_at
        from edge_asr.serve.sockets import inherited, opened_as_asked, read_token, title
    except ModuleNotFoundError as error:
        raise EdgeAsrError(
            f"{error.name} is missing; install the server with: pip install 'edge-asr[serve]'"
        ) from error
    configured(context.config)  # what is missing for it is said now, and not to each who asks
    settings = context.config.serve
    given = token_file or (Path(settings.token_file) if settings.token_file else None)
    token = None if given is None else read_token(given)
    sockets = inherited(context.environ) or [opened_as_asked(settings, host, port, unix_socket)]
    access = _access(token, sockets)
    _give_way(context.environ)
    notifier = context.notifier()
    places = ", ".join(title(listening) for listening in sockets)

    def ready() -> None:
        notifier.ready(f"serving {places}")
        click.echo(f"edge-asr: serving {places}", err=True)

    run(
        site_at(
            context.state_dir,
            context.config,
            context.config_file,
            bundle_dirs=context.bundle_dirs,
            bundle=context.bundle_name,
        ),
        access,
        sockets,
        stop=stop_event(also_when_stdin_closes=is_child),
        ready=ready,
        alive=notifier.alive,
    )
    notifier.stopping()


def _access(token: str | None, sockets: Sequence[socket]) -> Access:
    """Return who is let in.

    Raises:
        ConfigError: other machines could come in without a token.
    """
    from edge_asr.serve.access import Access
    from edge_asr.serve.sockets import is_local

    if token is None and not all(is_local(listening) for listening in sockets):
        raise ConfigError(
            "other machines could read everything: name a file with a token "
            "(--token-file, or serve.token_file in the configuration)"
        )
    is_tcp = any(listening.family.name != "AF_UNIX" for listening in sockets)
    return Access(token, checks_host=is_tcp)


def _give_way(environ: Mapping[str, str]) -> None:
    """Be nice, unless systemd has seen to it."""
    if "INVOCATION_ID" not in environ:
        os.nice(max(0, NICENESS - os.nice(0)))
