"""Second passes over what is stored: ``log polish`` and ``retranscribe``."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_asr.cli.asked import request_from, request_options
from edge_asr.cli.second_pass import configured_prompt, find, is_text, open_worker, read_prompt
from edge_asr.cli.signals import stop_event
from edge_asr.cli.when import when
from edge_asr.errors import EdgeAsrError, RequestError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_asr.cli.context import Context
    from edge_asr.second_pass import Worker
    from edge_asr.store import Store
    from edge_asr.store.log import Filter
    from edge_asr.store.passes import Pass

_NICENESS = 10
"""A command over the whole log gives way to the recognizer beside it."""


_SELECTION = (
    click.option("--source", metavar="NAME", help="Only from this microphone or file."),
    click.option("--since", type=when, metavar="WHEN", help="Only from then on: 2h, 2026-11-24."),
    click.option("--until", type=when, metavar="WHEN", help="Only before then."),
    click.option("--limit", type=click.IntRange(1), metavar="N", help="No more than so many."),
    click.option("--dry-run", is_flag=True, help="Print the versions, and store none."),
)


def _selection(command: Callable[..., Any]) -> Callable[..., Any]:
    for option in reversed(_SELECTION):
        command = option(command)
    return command


@click.command()
@click.option("--bundle", "name", required=True, metavar="NAME|DIR", help="A text model.")
@click.option(
    "--prompt",
    "prompt_file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="What to ask, with {text}; without it, what is configured.",
)
@click.option("--system", default="", metavar="WORDS", help="What to tell the model beforehand.")
@_selection
@click.pass_obj
def polish(
    context: Context,
    name: str,
    prompt_file: Path | None,
    system: str,
    source: str | None,
    since: int | None,
    until: int | None,
    limit: int | None,
    dry_run: bool,  # noqa: FBT001
) -> None:
    """Rewrite stored transcripts with a text model: a new version each, newest first.

    What this bundle and prompt did before is left out, so it can be stopped and started again.

    \b
    Examples:
      edge-asr log polish --bundle smollm2-135m-instruct --since 2h --dry-run
      edge-asr log polish --bundle granite-3.3-2b-instruct --prompt german.txt --source gate
    """
    from dataclasses import replace

    from edge_asr.second_pass import polishing
    from edge_asr.store import Store
    from edge_asr.store.log import Filter

    prompt = configured_prompt(context.config.second_pass)
    if prompt_file is not None:
        prompt = replace(prompt, words=read_prompt(prompt_file))
    if system:
        prompt = replace(prompt, system=system)
    bundle = find(context, name)
    if not is_text(bundle):
        raise RequestError(
            f"bundle {bundle.name} is no text model; to hear the sound again with it: "
            f"edge-asr --bundle {name} retranscribe"
        )
    chosen = Filter(since_utc_ns=since, until_utc_ns=until, source=source)
    with Store.open(context.state_dir) as store:
        worker = open_worker(context, store, bundle, prompt)
        _run(context, store, worker, polishing(bundle, prompt), chosen, limit, dry_run=dry_run)


@click.command()
@click.option("--bundle", "name", metavar="NAME|DIR", help="A speech model; as before the command.")
@request_options
@_selection
@click.pass_obj
def retranscribe(
    context: Context,
    /,
    name: str | None,
    source: str | None,
    since: int | None,
    until: int | None,
    limit: int | None,
    dry_run: bool,  # noqa: FBT001
    **asked: Any,  # noqa: ANN401 (what request_options adds)
) -> None:
    """Transcribe stored utterances again with another bundle: a new version each, newest first.

    What this bundle did before, asked the same, is left out, so it can be stopped and started
    again. It gives way to a recognizer that runs beside it.

    \b
    Examples:
      edge-asr retranscribe --bundle granite-4.0-1b-speech --since 2026-11-24
      edge-asr retranscribe --bundle whisper-base --language de --source gate --limit 100
    """
    from edge_asr.second_pass import Refiner, refining
    from edge_asr.store import Store
    from edge_asr.store.log import Filter

    if name is None and context.bundle_name is None:
        raise click.UsageError("name the bundle that is to transcribe with --bundle")
    bundle = find(context, name or str(context.bundle_name))
    request = request_from(context.config.recognition.request, **asked)
    chosen = Filter(since_utc_ns=since, until_utc_ns=until, source=source)
    with Store.open(context.state_dir) as store:
        recognizer = context.open_recognizer(bundle)
        recognizer.check(request)
        worker = Refiner(recognizer, request, store)
        _run(context, store, worker, refining(bundle, request), chosen, limit, dry_run=dry_run)


def _run(
    context: Context,
    store: Store,
    worker: Worker,
    wanted: Pass,
    chosen: Filter,
    limit: int | None,
    *,
    dry_run: bool,
) -> None:
    """Do a pass over what was chosen, and say how it went."""
    import os

    from edge_asr.correcting import Correcting
    from edge_asr.rewriting import configured
    from edge_asr.second_pass import Added, PassFailed, do_one

    correcting = Correcting(store, configured(context.config), lambda _event: None)
    os.nice(_NICENESS)
    stop = stop_event()
    queue = store.passes.queue(wanted, chosen)
    backlog = queue.backlog()
    n_all = min(backlog.n, limit or backlog.n)
    n_done = n_hidden = n_failed = 0
    show_flagged = context.config.second_pass.show_flagged
    with _progress(wanted.bundle, n_all) as advance:
        for _ in range(n_all):
            if stop.is_set() or (lacking := queue.take()) is None:
                break
            if dry_run:
                _print_both(lacking.transcript.recognition.text, worker.work(lacking))
            else:
                event = do_one(store, worker, wanted, lacking, show_flagged=show_flagged)
                if isinstance(event, PassFailed):
                    n_failed += 1
                    click.echo(
                        f"edge-asr: utterance {event.utterance.utterance_id}: {event.error}",
                        err=True,
                    )
                elif isinstance(event, Added):
                    n_hidden += not event.transcript.is_shown
                    correcting.observe(event)
            n_done += 1
            advance()
    if not dry_run:
        _sum_up(n_done - n_failed, n_hidden, backlog.n - n_done, backlog.n_quarantined)
    if n_failed:
        raise EdgeAsrError(f"{n_failed} utterances failed; see the messages above")


def _sum_up(n_added: int, n_hidden: int, n_left: int, n_quarantined: int) -> None:
    words = [f"{n_added} versions added"]
    if n_hidden:
        words.append(f"{n_hidden} of them kept but not shown, because they went wrong")
    if n_left:
        words.append(f"{n_left} utterances left to do")
    if n_quarantined:
        words.append(f"{n_quarantined} not tried again, because they failed three times")
    click.echo("; ".join(words), err=True)


def _print_both(before: str, after: Any) -> None:  # noqa: ANN401 (a Recognition)
    from edge_asr.formats import one_line

    flags = f"  [{', '.join(after.flags)}]" if after.flags else ""
    click.echo(f"- {one_line(before)}\n+ {one_line(after.text)}{flags}")


@contextmanager
def _progress(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeRemaining

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=total)
        yield lambda: bar.advance(task)
