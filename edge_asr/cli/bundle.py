"""``bundle``: the model bundles of this machine."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from edge_asr.bundle import (
    file_problems,
    find_bundle,
    list_bundles,
    read_manifest,
)
from edge_asr.cli.fitting import fit, prepare
from edge_asr.cli.records_option import document_option, print_jsonl, records_option
from edge_asr.errors import BundleDamagedError, BundleError
from edge_asr.prepared import preparation_problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from edge_asr.cli.context import Context

name_argument = click.argument("name", metavar="NAME|DIR")
_MANY = 8
"""More languages than this are counted, not listed."""


@click.group()
def bundle() -> None:
    """Model bundles: list, info, verify, prepare, fit.

    \b
    Examples:
      edge-asr bundle list
      edge-asr bundle fit                   which of them suit this machine
    """


@bundle.command("list")
@document_option
@click.pass_obj
def list_(context: Context, output: str) -> None:
    """List the bundles of this machine.

    \b
    Examples:
      edge-asr bundle list
      edge-asr bundle list --format jsonl
    """
    found = [_summary(directory) for directory in list_bundles(context.bundle_dirs)]
    if output == "json":
        click.echo(json.dumps(found, indent=2))
        return
    if output == "jsonl":
        print_jsonl(found)
        return
    if not found:
        places = ", ".join(str(place) for place in context.bundle_dirs)
        click.echo(
            f"No bundles in {places}. Make one with: python -m export whisper-base", err=True
        )
    for entry in found:
        what = entry["problem"] or f"{_megabytes(entry['size_bytes'])}, {_abilities(entry)}"
        click.echo(f"{entry['name']:<20} {what}  {entry['directory']}")


@bundle.command()
@name_argument
@document_option
@click.pass_obj
def info(context: Context, name: str, output: str) -> None:
    """Say what a bundle can do, where it came from and how good it is.

    \b
    Example:
      edge-asr bundle info whisper-base
    """
    directory = find_bundle(name, context.bundle_dirs)
    manifest, sha256 = read_manifest(directory)
    facts = {
        **_facts(directory),
        "prepared": preparation_problem(directory, sha256) or "for this machine",
        "manifest_sha256": sha256,
        "created_utc": manifest.created_utc,
        "licence": manifest.licence,
        "source": manifest.source,
        "export": manifest.export,
        "quality": manifest.quality,
    }
    if output == "json":
        click.echo(json.dumps(facts, indent=2))
        return
    if output == "jsonl":
        print_jsonl([facts])
        return
    facts = {"size": _megabytes(facts.pop("size_bytes")), **facts}
    for key, value in _flat(facts):
        click.echo(f"{key:<36} {value}")


@bundle.command()
@name_argument
@records_option
@click.pass_obj
def verify(context: Context, name: str, output: str) -> None:
    """Compare every file of a bundle with its checksum.

    \b
    Examples:
      edge-asr bundle verify whisper-base
      edge-asr bundle verify whisper-base --format jsonl
    """
    directory = find_bundle(name, context.bundle_dirs)
    damaged = []
    for file_name, problem in file_problems(directory):
        if output == "jsonl":
            print_jsonl([{"file": file_name, "ok": problem is None, "problem": problem}])
        else:
            click.echo(f"ok       {file_name}" if problem is None else f"damaged  {problem}")
        if problem is not None:
            damaged.append(file_name)
    if damaged:
        raise BundleDamagedError(f"bundle {name} cannot be used: damaged: {', '.join(damaged)}")


bundle.add_command(prepare)
bundle.add_command(fit)


def _summary(directory: Path) -> dict[str, Any]:
    try:
        return {**_facts(directory), "problem": None}
    except BundleError as error:
        return {"name": directory.name, "directory": str(directory), "problem": str(error)}


def _facts(directory: Path) -> dict[str, Any]:
    manifest, _ = read_manifest(directory)
    can = manifest.capabilities
    return {
        "name": manifest.name,
        "directory": str(directory),
        "family": manifest.family,
        "size_bytes": sum(entry.size for entry in manifest.files.values()),
        "tasks": list(can.tasks),
        "languages": can.languages,
        "translation_targets": can.translation_targets,
        "detects_language": can.detects_language,
        "keywords": can.keywords,
        "context": can.context,
        "punctuation": can.punctuation,
        "timestamps": can.timestamps,
        "confidence": can.confidence,
    }


def _abilities(entry: Mapping[str, Any]) -> str:
    if not entry["tasks"]:
        return str(entry["family"])
    return f"{entry['family']}, {' and '.join(entry['tasks'])}: {_listed(entry['languages'])}"


def _listed(names: list[str]) -> str:
    return f"{len(names)} languages" if len(names) > _MANY else " ".join(names)


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def _flat(facts: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield ``a.b`` and a printable value for every leaf."""
    for key, value in facts.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list):
            yield f"{prefix}{key}", ", ".join(map(str, value)) or "none"
        else:
            words = (
                {True: "yes", False: "no"}.get(value, value) if isinstance(value, bool) else value
            )
            yield f"{prefix}{key}", str(words)
