"""``log``: read what was said. Works while others write."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from edge_asr import entries as written
from edge_asr.cli import ledger as accounts
from edge_asr.cli.integrity import COMMANDS, export_chain
from edge_asr.cli.one_utterance import show
from edge_asr.cli.passes import polish
from edge_asr.cli.records_option import print_lines, records_option
from edge_asr.cli.rejected import rejected
from edge_asr.cli.tailing import entry_printer, tail
from edge_asr.cli.when import when
from edge_asr.store import Store
from edge_asr.store.log import Filter

if TYPE_CHECKING:
    from edge_asr.cli.context import Context

CHAIN = "chain"

_source = click.option("--source", metavar="NAME", help="Only from this microphone or file.")
_since = click.option(
    "--since", type=when, metavar="WHEN", help="Only from then on: 2h, 3d, 2026-11-24."
)
_until = click.option("--until", type=when, metavar="WHEN", help="Only before then.")
_from_sound = click.option(
    "--from-sound", is_flag=True, help="As it was transcribed, without what was polished since."
)


@click.group()
def log() -> None:
    """Read what was said and what was not heard, and check that it is whole.

    \b
    Examples:
      edge-asr log tail -f                      the last utterances, and those to come
      edge-asr log search '"pump seven" leak*'  words, phrases, beginnings
      edge-asr log export --format csv --since 2026-11-24 > day.csv
      edge-asr log ledger --date yesterday      every second of a day
    """


log.add_command(tail)
log.add_command(show)
log.add_command(polish)
log.add_command(rejected)
log.add_command(accounts.ledger)
log.add_command(accounts.alarms)
log.add_command(accounts.gaps)
for _command in COMMANDS:
    log.add_command(_command)


@log.command()
@click.argument("query", metavar="QUERY")
@click.option("--language", metavar="CODE", help="Only in this language (en, de, ...).")
@_source
@_since
@_from_sound
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@records_option
@click.pass_obj
def search(
    context: Context,
    query: str,
    language: str | None,
    source: str | None,
    since: int | None,
    from_sound: bool,  # noqa: FBT001
    limit: int,
    output: str,
) -> None:
    """Find utterances by their words, newest first. All words of QUERY must occur.

    \b
    Examples:
      edge-asr log search pump
      edge-asr log search '"pump seven" leak*' --since 3d --source press-4
    """
    wanted = Filter(since_utc_ns=since, source=source, language=language, from_sound=from_sound)
    with Store.open(context.state_dir, readonly=True) as store:
        print_entry = entry_printer(output)
        for entry in store.log.search(query, wanted, limit=limit):
            print_entry(entry)


@log.command()
@click.option(
    "--format",
    "output",
    type=click.Choice([*written.EXPORTS, CHAIN]),
    default="jsonl",
    show_default=True,
)
@_since
@_until
@_source
@_from_sound
@click.option("--all-versions", is_flag=True, help="Every version, not just the latest.")
@click.pass_obj
def export(
    context: Context,
    output: str,
    since: int | None,
    until: int | None,
    source: str | None,
    from_sound: bool,  # noqa: FBT001
    all_versions: bool,  # noqa: FBT001
) -> None:
    """Print the log for other programs, oldest first.

    The format chain is the whole log with its hashes, for verify_log.py.

    \b
    Examples:
      edge-asr log export --format jsonl > log.jsonl
      edge-asr log export --format csv --since 2026-11-24 --source press-4 > day.csv
      edge-asr log export --format chain > chain.jsonl
    """
    if output == CHAIN:
        if since or until or source or from_sound or all_versions:
            raise click.UsageError("a chain has all entries: leave out what would choose some")
        export_chain(context)
        return
    wanted = Filter(since_utc_ns=since, until_utc_ns=until, source=source, from_sound=from_sound)
    with Store.open(context.state_dir, readonly=True) as store:
        print_lines(written.EXPORTS[output](store.log.entries(wanted, all_versions=all_versions)))
