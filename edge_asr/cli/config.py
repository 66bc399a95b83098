"""``config``: is the configuration right, and what may be in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_asr.cli.context import SYSTEM_CONFIG
from edge_asr.cli.fitting import refuse_hopeless
from edge_asr.config import SECTIONS, config_schema, load_config

if TYPE_CHECKING:
    from edge_asr.cli.context import Context


@click.group()
def config() -> None:
    """Check the configuration, print its schema.

    \b
    Examples:
      edge-asr config check /etc/edge-asr/config.yaml
      edge-asr config schema --format markdown      every setting, to read
    """


@config.command()
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.pass_obj
def check(context: Context, file: Path | None) -> None:
    """Say whether FILE is right; without it, whether the configuration in use is.

    A bundle that is hopeless on this machine is wrong, too: edge-asr bundle fit has the reasons.
    Exit status 0 if all is right, 78 if it is not.

    \b
    Example:
      edge-asr config check /etc/edge-asr/config.yaml
    """
    path = file or context.config_path or SYSTEM_CONFIG
    if file is None and context.config_path is None and not path.exists():
        click.echo("There is no configuration file; every setting has its default.")
        return
    settings = load_config(path)
    refuse_hopeless(context, settings)
    names = ", ".join(microphone.name for microphone in settings.microphones)
    click.echo(
        f"{path} is right: microphones {names}; recognizes with {settings.recognition.bundle}."
    )


@config.command()
@click.option(
    "--format",
    "output",
    type=click.Choice(["json", "markdown"]),
    default="json",
    show_default=True,
    help="JSON Schema, which editors understand, or tables to read.",
)
def schema(output: str) -> None:
    """Print every setting with its type, default and meaning.

    \b
    Examples:
      edge-asr config schema > edge-asr.schema.json     for an editor
      edge-asr config schema --format markdown          to read
    """
    if output == "json":
        click.echo(json.dumps(config_schema(), indent=2))
    else:
        click.echo(markdown_tables())


def markdown_tables() -> str:
    """Return a table for each section of the configuration."""
    definitions = config_schema()["$defs"]
    return "\n\n".join(
        _table(path, definitions[section.__name__])
        for path, section in SECTIONS.items()
        if path  # the file itself holds nothing but sections
    )


def _table(path: str, definition: dict[str, Any]) -> str:
    title = f"`{path.removesuffix('[]')}`" + (": a list, each with" if path.endswith("[]") else "")
    rows = [
        f"| `{name}` | {_type(field)} | `{json.dumps(field['default'])}` "
        f"| {field['description'].replace('``', '`')} |"
        for name, field in definition["properties"].items()
    ]
    return "\n".join(
        [f"### {title}", "", "| Setting | Type | Default | Meaning |", "|---|---|---|---|", *rows],
    )


_TYPES = {
    "string": "text",
    "boolean": "true or false",
    "integer": "whole number",
    "number": "number",
    "null": "null",
}


def _type(field: dict[str, Any]) -> str:
    """Return in words what may stand there."""
    if "anyOf" in field:
        return " or ".join(_type(choice) for choice in field["anyOf"])
    if "$ref" in field:
        return "one of: " + ", ".join(f"`{value}`" for value in _choices(field["$ref"]))
    if "enum" in field:
        return "one of: " + ", ".join(f"`{value}`" for value in field["enum"])
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    if "minimum" in field:
        return f"{_TYPES[field['type']]}, {field['minimum']:.10g} to {field['maximum']:.10g}"
    return _TYPES[field["type"]]


def _choices(reference: str) -> list[str]:
    values: list[str] = config_schema()["$defs"][reference.rpartition("/")[2]]["enum"]
    return values
