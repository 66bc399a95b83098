"""Every help text, as it is shown."""

import click
import pytest

from edge_asr.cli import COMMANDS, edge_asr


def commands(context, group, path=()):
    """Yield the path of every command, and the command."""
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(context, command, (*path, name))


CONTEXT = click.Context(edge_asr, info_name="edge-asr")
ALL = dict(commands(CONTEXT, edge_asr))


def test_every_command_is_looked_at():
    assert {path[0] for path in ALL} == set(COMMANDS)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_examples_stand_on_lines_of_their_own(path):
    command = ALL[path]
    shown = command.get_help(click.Context(command, info_name=path[-1], parent=CONTEXT))

    assert "\\b" not in shown
    if "Example" in shown:
        after = shown.partition("Example")[2].splitlines()
        assert after[0] in {"s:", ":"}
        assert after[1].strip().startswith(("edge-asr", "sudo", "python"))
