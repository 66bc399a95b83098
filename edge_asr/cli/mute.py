"""``mute`` and ``unmute``: what is said near a microphone, and is to be recorded nowhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_asr.cli.records_option import print_jsonl, records_option
from edge_asr.formats import rfc3339

if TYPE_CHECKING:
    from edge_asr.cli.context import Context

_source = click.option("--source", metavar="NAME", help="Only this configured microphone.")


@click.command()
@_source
@click.option("--status", "only_show", is_flag=True, help="Only say whether it is muted.")
@records_option
@click.pass_obj
def mute(
    context: Context,
    source: str | None,
    only_show: bool,  # noqa: FBT001
    output: str,
) -> None:
    """Record nothing until it is unmuted, across restarts and power cuts.

    What is heard meanwhile is dropped in memory; what was being said is kept up to here. The log
    says since when and until when. A listener that gets SIGUSR1 does the same, and the opposite
    at the next one.

    \b
    Examples:
      edge-asr mute                       all configured microphones
      edge-asr mute --source press-4      one of them
      edge-asr mute --status              which are muted, and since when
      edge-asr mute --status --format jsonl
    """
    from edge_asr.store import Store
    from edge_asr.store.mutes import MuteFiles

    files = MuteFiles(context.state_dir)
    since = {name: files.since_utc_ns(name) for name in _names(context, source)}
    if output == "jsonl":
        if not only_show:
            raise click.UsageError("--format jsonl goes with --status")
        print_jsonl(
            {
                "source": name,
                "muted": bool(utc_ns),
                "since_utc": rfc3339(utc_ns) if utc_ns else None,
            }
            for name, utc_ns in since.items()
        )
        return
    if only_show:
        for name, utc_ns in since.items():
            click.echo(f"{name} is {_muted_since(utc_ns)}" if utc_ns else f"{name} is not muted")
        return
    for name, utc_ns in since.items():
        files.keep(name, muted=True)  # a broken database does not stand in its way
        click.echo(f"{name} was {_muted_since(utc_ns)} already" if utc_ns else f"{name} is muted")
    with Store.open(context.state_dir) as store:
        for name, utc_ns in since.items():
            if utc_ns is None:
                store.mutes.record(name, muted=True, by="command")


def _muted_since(utc_ns: int) -> str:
    return f"muted since {rfc3339(utc_ns)}"


@click.command()
@_source
@click.pass_obj
def unmute(context: Context, source: str | None) -> None:
    """Record again what was muted.

    \b
    Examples:
      edge-asr unmute
      edge-asr unmute --source press-4
    """
    from edge_asr.store import Store

    with Store.open(context.state_dir) as store:
        for name in _names(context, source):
            if not store.mutes.is_muted(name):
                click.echo(f"{name} was not muted")
                continue
            store.mutes.record(name, muted=False, by="command")
            store.mutes.keep(name, muted=False)
            click.echo(f"{name} is unmuted")


def _names(context: Context, source: str | None) -> list[str]:
    known = [microphone.name for microphone in context.config.microphones]
    return known if source is None else [context.config.microphone(source).name]
