"""Words for a person, which no loop depends on: their disk may be full, their reader gone."""

from __future__ import annotations

import os
import sys
from contextlib import suppress

import click


def say(words: str) -> None:
    """Print a line to stderr if that is possible."""
    with suppress(OSError):
        click.echo(words, err=True)


def tell(line: str) -> None:
    """Print a line to stdout; it is left out if the disk refuses.

    Raises:
        BrokenPipeError: whoever read it is gone, which is a way to end what tells it.
    """
    try:
        click.echo(line)
    except BrokenPipeError:
        raise
    except OSError:
        forget_stdout()


def forget_stdout() -> None:
    """Let what could not be printed go: at its end Python would try it again, and fail."""
    whole = os.dup(sys.stdout.fileno())
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, sys.stdout.fileno())
    with suppress(OSError):
        sys.stdout.flush()
    os.dup2(whole, sys.stdout.fileno())
    os.close(whole)
    os.close(nothing)
