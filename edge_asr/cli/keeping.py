"""Retention as the loops and the command line run it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from edge_asr.clock import now
from edge_asr.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.cli.context import Context
    from edge_asr.store import Store
    from edge_asr.store.retention import Retention

INTERVAL_S = 60.0


def open_retention(context: Context, store: Store) -> Retention:
    """Return what keeps a store within the configured limits."""
    from edge_asr.store.retention import Limits

    settings = context.config.retention
    limits = Limits(settings.min_free_mb << 20, settings.max_sound_mb << 20, settings.max_age_days)
    return store.retention(limits)


def keeper(context: Context, store: Store) -> Callable[[], None]:
    """Return a step for a loop: once a minute, or at once while there is more to remove."""
    retention = open_retention(context, store)
    due_s = 0.0

    def keep() -> None:
        nonlocal due_s
        if time.monotonic() < due_s:
            return
        try:
            pruned = retention.step(now())
        except StoreError as error:
            click.echo(f"edge-asr: old sound could not be removed: {error}", err=True)
            pruned = None
        due_s = 0.0 if pruned else time.monotonic() + INTERVAL_S

    return keep


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.pass_obj
def prune(context: Context, dry_run: bool) -> None:  # noqa: FBT001
    """Remove old sound as the section retention of the configuration says. Text stays.

    What was not transcribed, and what is held, stays too.

    \b
    Example:
      edge-asr log prune --dry-run
    """
    from edge_asr.store import Store

    n, n_bytes = 0, 0
    with Store.open(context.state_dir) as store:
        retention = open_retention(context, store)
        while pruned := retention.step(now(), dry_run=dry_run):
            n, n_bytes = n + len(pruned.utterance_ids), n_bytes + pruned.n_bytes
            if dry_run:
                break
    what = f"the sound of {n} utterances, {n_bytes / 1e6:.1f} MB"
    click.echo(f"would begin with {what}" if dry_run and n else f"removed {what}")
