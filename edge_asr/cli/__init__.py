"""The command line: the composition root.

Commands are imported when they run, so that ``edge-asr --help`` is instant.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from pathlib import Path

import click
from click.shell_completion import CompletionItem

from edge_asr import __version__
from edge_asr.cli.context import Context
from edge_asr.cli.saying import forget_stdout, say
from edge_asr.errors import EdgeAsrError

COMMANDS: dict[str, tuple[str, str]] = {
    "run": ("edge_asr.cli.run:run", "Listen and transcribe, in this terminal."),
    "listen": ("edge_asr.cli.loops:listen", "Write what a microphone hears into the store."),
    "recognize": ("edge_asr.cli.loops:recognize", "Transcribe what is in the store."),
    "transcribe": ("edge_asr.cli.transcribe:transcribe", "Print the text of sound files."),
    "retranscribe": ("edge_asr.cli.passes:retranscribe", "Transcribe what is stored again."),
    "mute": ("edge_asr.cli.mute:mute", "Record nothing until it is unmuted."),
    "unmute": ("edge_asr.cli.mute:unmute", "Record again what was muted."),
    "hands": ("edge_asr.cli.hands:hands", "Mute by a key or a button; a light shows it."),
    "devices": ("edge_asr.cli.devices:devices", "List the microphones of this machine."),
    "levels": ("edge_asr.cli.devices:levels", "Show how loud a microphone hears, live."),
    "log": ("edge_asr.cli.log:log", "Read what was said: tail, show, search, export."),
    "serve": ("edge_asr.cli.serve:serve", "Serve a page and an API."),
    "publish": ("edge_asr.cli.publish:publish", "Publish what is said to an MQTT broker."),
    "hooks": ("edge_asr.cli.hooks:hooks", "Tell programs of your own of each transcript."),
    "wyoming": ("edge_asr.cli.wyoming:wyoming", "Speech to text for Home Assistant."),
    "metrics": ("edge_asr.cli.metrics:metrics", "Print how the appliance is, for Prometheus."),
    "bundle": ("edge_asr.cli.bundle:bundle", "Model bundles: list, info, verify."),
    "evaluate": ("edge_asr.cli.evaluate:evaluate", "Measure how well a bundle understands."),
    "doctor": ("edge_asr.cli.doctor:doctor", "Say what is wrong with this installation."),
    "config": ("edge_asr.cli.config:config", "Check the configuration, print its schema."),
    "completion": ("edge_asr.cli.completion:completion", "Complete commands in bash, zsh, fish."),
}
"""Command -> where it is, and its line in the help."""


class _LazyGroup(click.Group):
    """A group that imports a command when it is run, not when the program starts."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(import_module(module), attribute)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name, and import none."""
        items = [
            CompletionItem(name, help=help_line)
            for name, (_, help_line) in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, help_line) for name, (_, help_line) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edge-asr")
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Configuration; without it, /etc/edge-asr/config.yaml if there is one.",
)
@click.option(
    "--state",
    "state_dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the store is; without it, systemd's state directory or the user's own.",
)
@click.option(
    "--bundle",
    "bundle_name",
    metavar="NAME|DIR",
    help="Speech model to use, instead of the configured one.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def edge_asr(
    ctx: click.Context,
    config_path: Path | None,
    state_dir: Path | None,
    bundle_name: str | None,
    debug: bool,  # noqa: FBT001
) -> None:
    """Write down what a microphone hears, without a network.

    \b
    Examples:
      edge-asr run                          listen and show transcripts
      edge-asr transcribe meeting.flac      print the text of a file
      edge-asr log search "pump 7"          find what was said
    """
    if os.environ.get("NO_COLOR"):  # rich looks by itself, click does not
        ctx.color = False
    ctx.obj = Context(
        config_path=config_path,
        given_state_dir=state_dir,
        bundle_name=bundle_name,
        debug=debug,
        environ=os.environ,
    )


_DISK_SAYS = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EFBIG}
"""What is no mistake of the program."""


def main() -> None:
    """Run the command line; exit status: 0 done, 1 failed, 2 usage, 78 configuration."""
    debug = "--debug" in sys.argv
    try:
        status = edge_asr(prog_name="edge-asr", standalone_mode=False)
    except EdgeAsrError as error:
        if debug:
            raise
        say(f"edge-asr: {error}")
        status = error.exit_status
    except OSError as error:
        if debug or error.errno not in _DISK_SAYS:
            raise
        say(f"edge-asr: {error.filename or 'what was printed'}: {error.strerror}")
        forget_stdout()
        status = 1
    except click.exceptions.Abort:
        status = 130  # interrupted from the keyboard, as shells count it
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    sys.exit(status if isinstance(status, int) else 0)
