"""``log``: read what was said. Works while others write."""

from __future__ import annotations

import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from edge_asr import entries as written
from edge_asr.cli import ledger as accounts
from edge_asr.cli.integrity import COMMANDS, export_chain, find_utterance
from edge_asr.cli.passes import polish
from edge_asr.cli.rejected import rejected
from edge_asr.cli.when import when
from edge_asr.formats import one_line, rfc3339
from edge_asr.store import Store
from edge_asr.store.log import Filter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge_asr.cli.context import Context
    from edge_asr.records import Recognition, Transcript, Utterance
    from edge_asr.store.gaps import SourceGap
    from edge_asr.store.log import Entry

CHAIN = "chain"
FOLLOW_S = 0.5
"""How often ``tail -f`` looks for more."""
GAP_MARGIN_NS = 60_000_000_000
"""``show`` tells of gaps within a minute of the utterance."""

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


log.add_command(polish)
log.add_command(rejected)
log.add_command(accounts.ledger)
log.add_command(accounts.alarms)
for _command in COMMANDS:
    log.add_command(_command)


@log.command()
@click.option("-n", "count", type=click.IntRange(0), default=10, show_default=True)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@_from_sound
@click.pass_obj
def tail(context: Context, count: int, follow: bool, from_sound: bool) -> None:  # noqa: FBT001
    """Print the last utterances, oldest first."""
    with Store.open(context.state_dir, readonly=True) as store:
        show = _printer()
        position = store.log.position()
        for entry in store.log.last(count, Filter(from_sound=from_sound)):
            show(entry)
        while follow:
            more, position = store.log.since(position, from_sound=from_sound)
            for entry in more:
                show(entry)
            if not more:
                time.sleep(FOLLOW_S)


@log.command()
@click.argument("utterance", metavar="ID")
@click.pass_obj
def show(context: Context, utterance: str) -> None:
    """Print all about one utterance: its versions, its sound, the gaps around it.

    ID is the number or the name that tail, search and export print.
    """
    with Store.open(context.state_dir, readonly=True) as store:
        found = find_utterance(store, utterance)
        _show_utterance(found, context, store.corrected_utc_ns(found.start))
        for transcript in store.transcripts.versions(found.utterance_id):
            _show_version(transcript)
        reason = store.integrity.redacted_because(found.utterance_id)
        if reason is not None:
            click.echo(f"redacted   {one_line(reason)}")
        failure = store.transcripts.failures.of(found.utterance_id)
        if failure is not None:
            state = "not tried again" if failure.quarantined else "failed"
            click.echo(f"{state} after {failure.tries + failure.kills} tries: {failure.error}")
        gaps = store.gaps.between(
            found.start.utc_ns - GAP_MARGIN_NS,
            written.end_utc_ns(found) + GAP_MARGIN_NS,
            found.source,
        )
        for gap in gaps:
            click.echo(f"gap        {_gap_line(gap)}")


@log.command()
@click.argument("query", metavar="QUERY")
@click.option("--language", metavar="CODE", help="Only in this language (en, de, ...).")
@_source
@_since
@_from_sound
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@click.option(
    "--format", "output", type=click.Choice(["text", "jsonl"]), default="text", show_default=True
)
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
        found = store.log.search(query, wanted, limit=limit)
        if output == "jsonl":
            _echo(written.jsonl(found))
        else:
            print_entry = _printer()
            for entry in found:
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
    """
    if output == CHAIN:
        if since or until or source or from_sound or all_versions:
            raise click.UsageError("a chain has all entries: leave out what would choose some")
        export_chain(context)
        return
    wanted = Filter(since_utc_ns=since, until_utc_ns=until, source=source, from_sound=from_sound)
    with Store.open(context.state_dir, readonly=True) as store:
        _echo(written.EXPORTS[output](store.log.entries(wanted, all_versions=all_versions)))


@log.command()
@_since
@_until
@_source
@click.pass_obj
def gaps(context: Context, since: int | None, until: int | None, source: str | None) -> None:
    """Print when there was no sound, and why."""
    with Store.open(context.state_dir, readonly=True) as store:
        between = {"since_utc_ns": since, "until_utc_ns": until}
        given = {name: value for name, value in between.items() if value is not None}
        _echo(_gap_line(gap) for gap in store.gaps.between(**given, source=source))


def _echo(lines: Iterable[str]) -> None:
    """Print lines together: a flush for each would take longer than all the rest."""
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _printer() -> Callable[[Entry], None]:
    """Return what prints an entry: in colour on a terminal, with tabs in a pipe."""
    if not sys.stdout.isatty():
        return lambda entry: click.echo(written.plain(entry))
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)

    def pretty(entry: Entry) -> None:
        utterance, recognition = entry.utterance, entry.transcript.recognition
        moment = datetime.fromtimestamp(utterance.start.utc_ns / 1e9, UTC).astimezone()
        line = Text()
        line.append(f"{utterance.utterance_id:>6} {moment:%Y-%m-%d %H:%M:%S} ", style="dim")
        line.append(f"{one_line(utterance.source)} ", style="cyan")
        line.append(f"{recognition.language} ", style="dim")
        line.append(one_line(recognition.text) or "(no words)")
        if recognition.flags:
            line.append(f"  [{', '.join(recognition.flags)}]", style="yellow")
        line.append(f"  {entry.transcript.bundle}", style="dim")
        console.print(line)

    return pretty


def _show_utterance(utterance: Utterance, context: Context, corrected_ns: int | None) -> None:
    start = utterance.start
    better = [] if corrected_ns is None else [("corrected", f"{rfc3339(corrected_ns)}  (by now)")]
    for title, value in (
        ("utterance", f"{utterance.utterance_id}  {utterance.uid}"),
        ("source", one_line(utterance.source)),
        ("start", f"{rfc3339(start.utc_ns)}  (clock: {start.clock_quality})"),
        *better,
        ("end", f"{rfc3339(written.end_utc_ns(utterance))}  ({utterance.end_reason})"),
        ("duration", f"{utterance.duration_s:.3f} s"),
        ("boot", f"{start.boot_id}, {start.monotonic_ns / 1e9:.3f} s after it"),
        ("audio", context.state_dir / utterance.audio_path),
        ("sha256", utterance.audio_sha256),
    ):
        click.echo(f"{title:<10} {value}")


def _show_version(transcript: Transcript) -> None:
    recognition = transcript.recognition
    doubts = f", {', '.join(recognition.flags)}" if recognition.flags else ""
    parent = f" of version {transcript.parent_version}" if transcript.parent_version else ""
    hidden = "" if transcript.is_shown else ", kept but not shown"
    click.echo(
        f"version {transcript.version}  {transcript.bundle} ({transcript.bundle_sha256[:12]}), "
        f"{recognition.task}{parent} {recognition.language}, {recognition.decode_s:.2f} s, "
        f"{rfc3339(transcript.created_utc_ns)}{doubts}{hidden}",
    )
    click.echo(f"           {one_line(recognition.text) or '(no words)'}")
    if certainty := _certainty(recognition):
        click.echo(f"           {certainty}")
    if recognition.words:
        timed = (f"{one_line(word.text)} {word.start_s:.2f}" for word in recognition.words)
        click.echo(f"           words, from second: {', '.join(timed)}")


def _certainty(recognition: Recognition) -> str:
    """Return how sure the model was, each figure with what it is."""
    facts = {
        "probability of the language": recognition.language_probability,
        "mean log-probability of the text": recognition.avg_logprob,
        "highest CTC entropy (nats)": recognition.ctc_max_entropy,
    }
    return ", ".join(f"{name} {value:.2f}" for name, value in facts.items() if value is not None)


def _gap_line(found: SourceGap) -> str:
    gap = found.gap
    cells = (rfc3339(gap.start.utc_ns), one_line(found.source), gap.kind.value)
    return "\t".join((*cells, f"{gap.duration_s:.3f} s", one_line(gap.detail)))
