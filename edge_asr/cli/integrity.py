"""``log verify``, ``repair``, ``head``, ``snapshot``, ``redact``, ``hold``, ...: it is whole."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_asr.cli.keeping import prune
from edge_asr.cli.when import when
from edge_asr.errors import EdgeAsrError, StoreError
from edge_asr.formats import rfc3339
from edge_asr.store import Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.cli.context import Context
    from edge_asr.records import Utterance
    from edge_asr.verify_log import Snapshot

_LAST_NS = (1 << 63) - 1


def find_utterance(store: Store, name: str) -> Utterance:
    """Return the utterance of that number or name.

    Raises:
        StoreError: there is none.
    """
    found = store.utterances.find(int(name) if name.isdecimal() else name)
    if found is None:
        raise StoreError(f"there is no utterance {name}; edge-asr log tail lists some")
    return found


@click.command()
@click.option("--head", default="", metavar="HEAD", help="SEQ:HASH kept elsewhere, to compare.")
@click.option(
    "--snapshot",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Of edge-asr log snapshot, kept elsewhere, to compare.",
)
@click.option("--public-key", default="", metavar="HEX", help="Which key must have signed it.")
@click.option("--without-sound", is_flag=True, help="Do not read the sound files.")
@click.pass_obj
def verify(
    context: Context,
    head: str,
    snapshot: Path | None,
    public_key: str,
    without_sound: bool,  # noqa: FBT001
) -> None:
    """Check that nothing of the log was changed, removed or inserted.

    \b
    Examples:
      edge-asr log verify                    the chain, every row, every sound file
      edge-asr log verify --head 812:9f2c..  also that its end was not cut off
      edge-asr log verify --snapshot /media/usb/press-4.json
    """
    from edge_asr.store.verification import Kept

    findings: list[str] = []

    def report(finding: str) -> None:
        findings.append(finding)
        click.echo(finding)

    with Store.open(context.state_dir, readonly=True) as store:
        kept = Kept(head, _snapshot(snapshot), public_key)
        verified = store.integrity.verify(report, kept, sound=not without_sound)
    click.echo(
        f"{verified.n_entries} entries, {verified.n_excused} of them redacted or removed; "
        f"head {verified.head}"
    )
    for sentence in verified.vouched:
        click.echo(sentence)
    if findings:
        raise EdgeAsrError(
            f"the log is not as it was written: {len(findings)} findings above; "
            "keep a copy of the state directory before anything else"
        )


def _snapshot(path: Path | None) -> Snapshot | None:
    from edge_asr.verify_log import Snapshot

    if path is None:
        return None
    try:
        return Snapshot(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} is no snapshot of a log ({error})") from error


@click.command()
@click.pass_obj
def snapshot(context: Context) -> None:
    """Print heads of the chain, from its beginning to now, as JSON. Keep it elsewhere.

    It has no words, is signed if there is a key, and shows later which part of the log, if any, is
    not as it was.

    \b
    Example:
      edge-asr log snapshot > /media/usb/press-4-$(date +%F).json
    """
    with Store.open(context.state_dir, readonly=True) as store:
        click.echo(store.integrity.snapshot())


@click.command()
@click.pass_obj
def repair(context: Context) -> None:
    """Look for damage in all of the database, however long it takes, and mend what there is.

    A damaged database is kept in the state directory under damaged/; a new one has what could be
    read of it. It also clears the alarm LOG-DAMAGED of an earlier repair.

    \b
    Example:
      edge-asr log repair
    """
    from edge_asr.store.mending import acknowledge, mend

    mended = mend(context.state_dir, whole=True)
    with Store.open(context.state_dir, readonly=True):  # or there is none, which is a sentence
        click.echo(str(mended or "the database is whole"))
    if mended is None and acknowledge(context.state_dir):
        click.echo("the alarm LOG-DAMAGED is cleared")


@click.command()
@click.pass_obj
def head(context: Context) -> None:
    """Print the head of the chain: number, hash, time. Keep it elsewhere.

    \b
    Example:
      edge-asr log head >> /media/usb/heads.txt
    """
    with Store.open(context.state_dir, readonly=True) as store:
        end = store.integrity.head()
    click.echo(f"{end}\t{rfc3339(end.recorded_utc_ns)}")


@click.command()
@click.argument("utterance", metavar="ID")
@click.option("--reason", required=True, metavar="TEXT", help="Why; it stays in the log.")
@click.pass_obj
def redact(context: Context, utterance: str, reason: str) -> None:
    """Remove the words and the sound of an utterance for good; the log says so.

    \b
    Example:
      edge-asr log redact 812 --reason "asked for by the person who spoke"
    """
    with Store.open(context.state_dir) as store:
        found = find_utterance(store, utterance)
        store.integrity.redact(found, reason)
    click.echo(f"utterance {found.utterance_id} is redacted")


def _which(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--reason", required=True, metavar="TEXT", help="Why; it stays in the log."),
        click.option("--source", metavar="NAME", help="Only from this microphone or file."),
        click.option("--until", type=when, metavar="WHEN", help="Said before then."),
        click.option("--since", type=when, metavar="WHEN", help="Said then or later."),
        click.argument("utterances", nargs=-1, metavar="[ID]..."),
    ):
        command = option(command)
    return command


def _so_many(utterance_ids: list[int], what: str) -> str:
    n = len(utterance_ids)
    return f"1 utterance is {what}" if n == 1 else f"{n} utterances are {what}"


def _chosen(
    store: Store,
    utterances: tuple[str, ...],
    since: int | None,
    until: int | None,
    source: str | None,
) -> list[int]:
    if bool(utterances) == bool(since or until or source):
        raise click.UsageError("name utterances, or a stretch of time with --since and --until")
    if utterances:
        return [find_utterance(store, name).utterance_id for name in utterances]
    return store.integrity.spoken_between(since or 0, until or _LAST_NS, source)


@click.command()
@_which
@click.pass_obj
def hold(
    context: Context,
    utterances: tuple[str, ...],
    since: int | None,
    until: int | None,
    source: str | None,
    reason: str,
) -> None:
    """Keep utterances whatever retention says, until they are released.

    \b
    Examples:
      edge-asr log hold 812 813 --reason "accident of 24 November"
      edge-asr log hold --since 2026-11-24 --until 2026-11-25 --reason "accident"
    """
    with Store.open(context.state_dir) as store:
        held = store.integrity.hold(_chosen(store, utterances, since, until, source), reason)
    click.echo(_so_many(held, "held"))


@click.command()
@_which
@click.pass_obj
def release(
    context: Context,
    utterances: tuple[str, ...],
    since: int | None,
    until: int | None,
    source: str | None,
    reason: str,
) -> None:
    """Let go of held utterances.

    \b
    Example:
      edge-asr log release 812 813 --reason "case closed"
    """
    with Store.open(context.state_dir) as store:
        freed = store.integrity.release(_chosen(store, utterances, since, until, source), reason)
    click.echo(_so_many(freed, "released"))


@click.command()
@click.pass_obj
def key(context: Context) -> None:
    """Make the key that signs the log, if there is none, and print the public one.

    From then on recognition signs the head of the chain from time to time (section signing of the
    configuration), and each export and snapshot is signed.

    \b
    Example:
      edge-asr log key      then: edge-asr log verify --public-key HEX
    """
    from edge_asr.store.signing import make_key

    with Store.open(context.state_dir):
        click.echo(make_key(context.state_dir))


def export_chain(context: Context) -> None:
    """Print the whole log for ``verify_log.py``."""
    with Store.open(context.state_dir, readonly=True) as store:
        for line in store.integrity.export():
            sys.stdout.write(line + "\n")
    sys.stdout.flush()


COMMANDS = (verify, repair, head, snapshot, redact, hold, release, prune, key)
"""What the group ``log`` has from here."""
