"""``--format`` of the commands that print records: lines for people, or JSON lines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

records_option = click.option(
    "--format",
    "output",
    type=click.Choice(["text", "jsonl"]),
    default="text",
    show_default=True,
    help="Words, or a JSON object on each line.",
)
document_option = click.option(
    "--format",
    "output",
    type=click.Choice(["text", "json", "jsonl"]),
    default="text",
    show_default=True,
    help="Words, one JSON document, or a JSON object on each line.",
)


def print_lines(lines: Iterable[str]) -> None:
    """Print lines together: a flush for each would take longer than all the rest."""
    for line in lines:
        sys.stdout.write(line + "\n")
    sys.stdout.flush()


def print_jsonl(records: Iterable[dict[str, Any]]) -> None:
    """Print a JSON object on each line."""
    print_lines(json.dumps(record, ensure_ascii=False) for record in records)
