"""``log ledger``, ``log gaps`` and ``log alarms``: was nobody speaking, or was nobody listening?"""

from __future__ import annotations

import datetime as dt
import json
import sys
from typing import TYPE_CHECKING

import click

from edge_asr.accounts import account_fields, alarm_fields
from edge_asr.cli.records_option import print_jsonl, print_lines, records_option
from edge_asr.cli.when import when
from edge_asr.entries import gap_fields
from edge_asr.errors import StoreError
from edge_asr.formats import one_line, rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.alarms import Alarm
    from edge_asr.cli.context import Context
    from edge_asr.store.gaps import SourceGap
    from edge_asr.store.ledger import Account
    from edge_asr.store.spans import Span

_N_CELLS = 96
"""Of the strip: a quarter of an hour each."""
_NS_PER_S = 1_000_000_000
_LETTERS = {
    "speech": ("#", "green"),
    "not_speech": (".", "bright_black"),
    "muted": ("m", "blue"),
    "overflow": ("!", "red"),
    "no_device": ("x", "red"),
    "not_running": ("-", "yellow"),
}
"""Kind -> how the strip shows it."""
_BADNESS = ("not_speech", "speech", "muted", "not_running", "overflow", "no_device")


def day(typed: str) -> dt.date:
    """Return the day that was typed: ``today``, ``yesterday``, ``2026-11-24``.

    Raises:
        click.BadParameter: it is none.
    """
    today = dt.datetime.now().astimezone().date()
    ago = {"today": 0, "yesterday": 1}.get(typed.strip().lower())
    try:
        return (
            dt.date.fromisoformat(typed.strip()) if ago is None else today - dt.timedelta(days=ago)
        )
    except ValueError as error:
        raise click.BadParameter(
            f"'{typed}' is no day; write today, yesterday or 2026-11-24"
        ) from error


@click.command("ledger")
@click.option("--date", type=day, default="today", show_default=True, metavar="DAY")
@click.option("--source", metavar="NAME", help="Only of this microphone or file.")
@records_option
@click.pass_obj
def ledger(context: Context, date: dt.date, source: str | None, output: str) -> None:
    """Account for every second of a day: speech, not speech, or not heard, and why.

    The day is one of this machine's time zone, from midnight to midnight, or to now.

    \b
    Examples:
      edge-asr log ledger
      edge-asr log ledger --date 2026-11-24 --source press-4
    """
    from edge_asr.clock import now
    from edge_asr.store import Store

    moment = now()
    start_ns, end_ns = _midnight_ns(date), _midnight_ns(date + dt.timedelta(days=1))
    end_ns = max(start_ns, min(end_ns, moment.utc_ns))
    with Store.open(context.state_dir, readonly=True) as store:
        sources = store.ledger.sources()
        if source is not None and source not in sources:
            raise StoreError(f"nobody ever listened to '{source}'; sources: {', '.join(sources)}")
        for name in sources if source is None else [source]:
            account = store.ledger.account(name, start_ns, end_ns, moment)
            if output == "jsonl":
                click.echo(json.dumps(account_fields(account, date), ensure_ascii=False))
            elif account.spans or source is not None:
                for line in account_lines(account, date):
                    click.echo(line)


@click.command("alarms")
@click.option("--all", "everything", is_flag=True, help="Also those that were cleared.")
@click.option("--since", type=when, metavar="WHEN", help="Active then or later: 2h, 2026-11-24.")
@click.option("--source", metavar="NAME", help="Only of this microphone.")
@records_option
@click.pass_obj
def alarms(
    context: Context,
    everything: bool,  # noqa: FBT001
    since: int | None,
    source: str | None,
    output: str,
) -> None:
    """Print the alarms that are active: what is wrong, since when.

    \b
    Examples:
      edge-asr log alarms
      edge-asr log alarms --since 7d      also those that were cleared since
    """
    from edge_asr.store import Store

    with Store.open(context.state_dir, readonly=True) as store:
        if everything or since is not None:
            found = store.alarms.between(since_utc_ns=since or 0, source=source)
        else:
            found = store.alarms.active(source)
    for alarm in found:
        if output == "jsonl":
            click.echo(json.dumps(alarm_fields(alarm), ensure_ascii=False))
        else:
            click.echo("\t".join(_alarm_cells(alarm)))
    if not found and output == "text":
        click.echo("no alarm", err=True)


@click.command("gaps")
@click.option("--since", type=when, metavar="WHEN", help="Only from then on: 2h, 2026-11-24.")
@click.option("--until", type=when, metavar="WHEN", help="Only before then.")
@click.option("--source", metavar="NAME", help="Only of this microphone or file.")
@records_option
@click.pass_obj
def gaps(
    context: Context, since: int | None, until: int | None, source: str | None, output: str
) -> None:
    """Print when there was no sound, and why.

    \b
    Examples:
      edge-asr log gaps --since 24h
      edge-asr log gaps --source press-4 --format jsonl
    """
    from edge_asr.store import Store

    between = {"since_utc_ns": since, "until_utc_ns": until}
    given = {name: value for name, value in between.items() if value is not None}
    with Store.open(context.state_dir, readonly=True) as store:
        found = store.gaps.between(**given, source=source)
        if output == "jsonl":
            print_jsonl({"source": each.source, **gap_fields(each.gap)} for each in found)
        else:
            print_lines(map(gap_line, found))


def gap_line(found: SourceGap) -> str:
    """Return a gap as one line for a pipe: start, source, kind, length, why; tabs between."""
    gap = found.gap
    cells = (rfc3339(gap.start.utc_ns), one_line(found.source), gap.kind.value)
    return "\t".join((*cells, f"{gap.duration_s:.3f} s", one_line(gap.detail)))


def account_lines(account: Account, date: dt.date) -> Iterator[str]:
    """Yield an account in words."""
    yield f"{one_line(account.source)}, {date:%A %Y-%m-%d} ({dt.datetime.now().astimezone():%Z})"
    if sys.stdout.isatty():
        yield _strip(account)
    for kind, total_ns in account.totals_ns.items():
        yield f"  {kind.value:<12} {_clock(total_ns)}"
    if account.outside_ns:
        why = "before its first start or after its last end"
        yield f"  {'outside':<12} {_clock(account.outside_ns)}  {why}"
    yield f"  {'together':<12} {_clock(account.end_utc_ns - account.start_utc_ns)}"
    for span in account.gaps:
        yield f"  {_local(span.start_ns)} - {_local(span.end_ns)}  {_gap_words(span)}"


def _gap_words(span: Span) -> str:
    why = f": {one_line(span.detail)}" if span.detail else ""
    length = _clock(span.duration_ns) if span.certain else "unknown length, the clock was not set"
    return f"{span.kind.value} ({length}){why}"


def _strip(account: Account) -> str:
    """Return the day as one letter for each quarter of an hour: the worst that was in it."""
    cell_ns = 86_400 * _NS_PER_S // _N_CELLS
    cells: list[str | None] = [None] * _N_CELLS
    for span in account.spans:
        first = (span.start_ns - account.start_utc_ns) // cell_ns
        last = (span.end_ns - 1 - account.start_utc_ns) // cell_ns
        for cell in range(first, min(last, _N_CELLS - 1) + 1):
            shown = cells[cell]
            if shown is None or _BADNESS.index(span.kind.value) > _BADNESS.index(shown):
                cells[cell] = span.kind.value
    letters = (click.style(*_LETTERS[cell]) if cell else " " for cell in cells)
    return "  " + "".join(letters)


def _alarm_cells(alarm: Alarm) -> tuple[str, ...]:
    cleared = alarm.cleared
    end = "active" if cleared is None else f"cleared {rfc3339(cleared.utc_ns)}"
    source = one_line(alarm.source) or "-"
    return (rfc3339(alarm.raised.utc_ns), alarm.code.value, source, end, one_line(alarm.detail))


def _midnight_ns(date: dt.date) -> int:
    midnight = dt.datetime(date.year, date.month, date.day).astimezone()
    return round(midnight.timestamp()) * _NS_PER_S


def _clock(duration_ns: int) -> str:
    minutes, seconds = divmod(duration_ns // 1_000_000, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{seconds / 1000:06.3f}"


def _local(utc_ns: int) -> str:
    return f"{dt.datetime.fromtimestamp(utc_ns / 1e9).astimezone():%H:%M:%S}"
