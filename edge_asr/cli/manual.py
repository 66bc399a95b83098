"""The manual page, edge-asr(1), made from the commands' own help, and the shells' completions.

``python -m edge_asr.cli.manual DIRECTORY`` writes all of them there, for ``install.sh``.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_asr import __version__
from edge_asr.cli import COMMANDS, edge_asr
from edge_asr.cli.completion import PROGRAM, SHELLS, script

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_VERBATIM = "\b"
"""Before a paragraph of a docstring whose lines click leaves alone."""
_EXIT_STATUS = {
    "0": "It is done.",
    "1": "The work failed; one sentence on stderr says why, and what to do next.",
    "2": "There is no such command or option.",
    "78": "The configuration is wrong.",
    "130": "It was interrupted from the keyboard.",
}
_FILES = {
    "/etc/edge-asr/config.yaml": "The configuration, where --config names no other.",
    "/var/lib/edge-asr": "The store of the services: the database, and the sound in dated folders.",
    "/var/lib/edge-asr/bundles": "The model bundles.",
    "~/.local/state/edge-asr": "The store of a user, where --state names no other.",
}
_ENVIRONMENT = {
    "EDGE_ASR_BUNDLES": "Folders in which bundles are looked up, with colons between.",
    "STATE_DIRECTORY": "Where the store is; systemd sets it.",
    "XDG_STATE_HOME": "The store is in its edge-asr, where neither --state nor systemd says.",
    "NO_COLOR": "If it is set, nothing is coloured.",
}


def manual() -> str:
    """Return the page, in roff's man macros."""
    root = click.Context(edge_asr, info_name=PROGRAM)
    lines = [
        f'.TH EDGE\\-ASR 1 "" "edge\\-asr {__version__}" "User Commands"',
        ".SH NAME",
        r"edge\-asr \- offline speech recognition, from a microphone to a durable transcript",
        ".SH SYNOPSIS",
        r".B edge\-asr",
        _escaped(" ".join(edge_asr.collect_usage_pieces(root))),
        ".SH DESCRIPTION",
        *_prose(edge_asr),
        ".SH OPTIONS",
        *_options(edge_asr, root),
        ".SH COMMANDS",
    ]
    for name in COMMANDS:
        command = edge_asr.get_command(root, name)
        if command is not None:
            lines += _section(command, root, name)
    for title, listed in (
        ("EXIT STATUS", _EXIT_STATUS),
        ("FILES", _FILES),
        ("ENVIRONMENT", _ENVIRONMENT),
    ):
        lines.append(f".SH {title}")
        lines += _listed(listed.items())
    return "\n".join(lines) + "\n"


def _section(command: click.Command, parent: click.Context, name: str) -> Iterator[str]:
    """Yield what is said of a command, and of those below it."""
    ctx = click.Context(command, info_name=name, parent=parent)
    usage = " ".join([ctx.command_path, *command.collect_usage_pieces(ctx)])
    yield f'.SS "{_escaped(usage)}"'
    yield from _prose(command)
    yield from _options(command, ctx)
    if isinstance(command, click.Group):
        for below in command.list_commands(ctx):
            found = command.get_command(ctx, below)
            if found is not None:
                yield from _section(found, ctx, below)


def _prose(command: click.Command) -> Iterator[str]:
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        yield ".PP"
        if paragraph.startswith(_VERBATIM):
            yield ".EX"
            yield from map(_escaped, paragraph.removeprefix(_VERBATIM).strip("\n").splitlines())
            yield ".EE"
        else:
            yield _escaped(" ".join(paragraph.split()))


def _options(command: click.Command, ctx: click.Context) -> Iterator[str]:
    parameters = command.params if ctx.parent else command.get_params(ctx)  # --help: told once
    records = (parameter.get_help_record(ctx) for parameter in parameters)
    yield from _listed(record for record in records if record is not None)


def _listed(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, meaning in items:
        yield ".TP"
        yield rf"\fB{_escaped(term)}\fR"
        yield _escaped(" ".join(meaning.split())) or r"\&"


def _escaped(text: str) -> str:
    """Return text that roff prints as it is: no line of it a request, no dash a hyphen."""
    escaped = text.replace("\\", r"\e").replace("-", r"\-").replace('"', r"\(dq")
    escaped = escaped.replace("~", r"\(ti").replace("^", r"\(ha")
    return re.sub(r"^([.'])", r"\\&\1", escaped.replace("'", r"\(aq"))


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
def write(directory: Path) -> None:
    """Write the manual page and the completions to DIRECTORY.

    \b
    Example:
      python -m edge_asr.cli.manual build/man
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / f"{PROGRAM}.1").write_text(manual(), encoding="utf-8")
    for shell in SHELLS:
        (directory / f"{PROGRAM}.{shell}").write_text(script(edge_asr, shell), encoding="utf-8")


if __name__ == "__main__":
    write()
