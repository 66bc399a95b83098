"""Every help text, as it is shown."""

import re

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
    assert "Example" in shown
    after = shown.partition("Example")[2].splitlines()
    assert after[0] in {"s:", ":"}
    assert after[1].strip().startswith(("edge-asr", "sudo", "python"))


def test_what_the_examples_show_are_commands_and_options_that_there_are():
    """An example that is out of date teaches what does not work."""
    wrong = []
    for path, command in ALL.items():
        shown = command.help.partition("Example")[2]
        for words in re.findall(r"^ +edge-asr (.*)", shown, re.MULTILINE):
            asked, known = re.split(r"\s{3,}|[|>]", words)[0], edge_asr
            options = set()
            for word in asked.split():
                options |= {o for p in known.params for o in (*p.opts, *p.secondary_opts)}
                if word.startswith("-") and word.partition("=")[0] not in options:
                    wrong.append((" ".join(path), word))
                if isinstance(known, click.Group) and known.get_command(CONTEXT, word):
                    known = known.get_command(CONTEXT, word)
            if isinstance(known, click.Group):
                wrong.append((" ".join(path), words))
    assert wrong == []


PRINTS_NO_RECORDS = {
    # What they print is of one form, and made for programs, or a line about what was done.
    *(
        "run",
        "serve",
        "publish",
        "hooks",
        "hands",
        "wyoming",
        "unmute",
        "completion",
        "retranscribe",
    ),
    *("metrics", "bundle prepare", "config check", "config schema", "log head", "log hold"),
    *("log key", "log polish", "log prune", "log redact", "log release", "log repair"),
    *("log snapshot", "log verify"),
}


def test_whatever_prints_records_prints_them_as_json_lines_too():
    without = {
        " ".join(path)
        for path, command in ALL.items()
        if not isinstance(command, click.Group)
        and not any("jsonl" in getattr(p.type, "choices", ()) for p in command.params)
    }
    assert without == PRINTS_NO_RECORDS
