"""What recognition does for the log from time to time: retention and signatures."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import click

from edge_asr.cli.saying import say
from edge_asr.clock import now
from edge_asr.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.cli.context import Context
    from edge_asr.store import Store
    from edge_asr.store.retention import Retention

INTERVAL_S = 60.0


def open_retention(context: Context, store: Store) -> Retention:
    """Return what keeps a store within the configured limits."""
    from edge_asr.store.retention import Limits

    settings = context.config.retention
    limits = Limits(
        settings.min_free_mb << 20,
        settings.max_sound_mb << 20,
        settings.max_age_days,
        settings.max_text_age_days,
    )
    return store.retention(limits)


class Keeper:
    """What a loop does for the log once a minute: old sound goes, and what is new is signed."""

    def __init__(self, context: Context, store: Store) -> None:
        signing = context.config.signing
        self._retention = open_retention(context, store)
        self._vouching = store.integrity.vouching(
            after_entries=signing.every_entries, after_s=60.0 * signing.every_min
        )
        self._due_s = 0.0

    def step(self) -> None:
        """Do it if it is time; removing goes on at once while there is more to remove."""
        if time.monotonic() < self._due_s:
            return
        pruned = None
        with _complaining("old sound could not be removed"):
            pruned = self._retention.step(now())
        with _complaining("the log could not be signed"):
            self._vouching.step()
        self._due_s = 0.0 if pruned else time.monotonic() + INTERVAL_S

    def finish(self) -> None:
        """Sign what is new: nobody may do that for long."""
        with _complaining("the log could not be signed"):
            self._vouching.step(at_once=True)


@contextmanager
def _complaining(what: str) -> Iterator[None]:
    try:
        yield
    except StoreError as error:
        say(f"edge-asr: {what}: {error}")


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@click.pass_obj
def prune(context: Context, dry_run: bool) -> None:  # noqa: FBT001
    """Remove old sound, and old text, as the section retention of the configuration says.

    What was not transcribed, and what is held, stays.

    \b
    Example:
      edge-asr log prune --dry-run
    """
    from edge_asr.store import Store

    n, n_bytes, n_texts = 0, 0, 0
    with Store.open(context.state_dir) as store:
        retention = open_retention(context, store)
        while pruned := retention.step(now(), dry_run=dry_run):
            if pruned.is_text:
                n_texts += len(pruned.utterance_ids)
            else:
                n, n_bytes = n + len(pruned.utterance_ids), n_bytes + pruned.n_bytes
            if dry_run:
                break
    what = f"the sound of {n} utterances, {n_bytes / 1e6:.1f} MB"
    if n_texts:
        words = f"the words and the sound of {n_texts} utterances"
        what = f"{what}; {words}" if n else words
    click.echo(f"would begin with {what}" if dry_run and n + n_texts else f"removed {what}")
