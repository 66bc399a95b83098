"""``completion``: what a shell needs to complete commands, options and their values."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from edge_asr.errors import EdgeAsrError

PROGRAM = "edge-asr"
VARIABLE = "_EDGE_ASR_COMPLETE"
"""What the shell sets when it asks the program; click reads it."""
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete the commands and options of edge-asr.

    \b
    Examples:
      edge-asr completion bash > ~/.local/share/bash-completion/completions/edge-asr
      edge-asr completion zsh > ~/.zfunc/_edge-asr        a folder of fpath
      edge-asr completion fish > ~/.config/fish/completions/edge-asr.fish
    """
    click.echo(script(ctx.find_root().command, shell))


def script(root: click.Command, shell: str) -> str:
    """Return the script for a shell.

    Args:
        root: the whole command line.
        shell: one of :data:`SHELLS`.
    """
    found = get_completion_class(shell)
    if found is None:
        raise EdgeAsrError(f"there is no completion for {shell}; there is for {', '.join(SHELLS)}")
    # The class's own source() starts the shell first, to ask how old it is: a page that is made
    # on one machine for another has none to ask.
    completer = found(root, {}, PROGRAM, VARIABLE)
    return completer.source_template % completer.source_vars()
