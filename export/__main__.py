"""``python -m export``: build model bundles on the workstation."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from edge_asr.errors import EdgeAsrError
from export.progress import Reporter
from export.recipe import Quantization, find_recipe, list_recipes, read_recipe

FOLDER = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)
WORK = Path("build/export")
SOUNDS = Path("/usr/share/asterisk/sounds")


class _Commands(click.Group):
    """What is no command is the name of a recipe, or an option of building one."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_known = bool(args) and (args[0] in self.commands or args[0] in {"-h", "--help"})
        return super().parse_args(ctx, args if is_known else ["build", *args])


class _Reported(click.Command):
    """A command whose errors are one sentence."""

    def invoke(self, ctx: click.Context) -> None:
        try:
            super().invoke(ctx)
        except EdgeAsrError as error:
            if ctx.params["debug"]:
                raise
            Reporter().say(f"error: {error}")
            sys.exit(error.exit_status)


debug_option = click.option("--debug", is_flag=True, expose_value=True, help="Show tracebacks.")
work_option = click.option("--work", type=FOLDER, default=WORK, show_default=True)
named_option = click.option(
    "--from",
    "named",
    metavar="DIR|ORG/NAME",
    help="Take the weights from a checkpoint folder, or from a repository of the hub.",
)
sounds_option = click.option(
    "--sounds",
    type=FOLDER,
    default=SOUNDS,
    show_default=True,
    help="Recorded prompts that the sample is made from.",
)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Build model bundles.

    \b
    python -m export whisper-base        the bundle of a recipe, the same as: build whisper-base
    python -m export --list              what recipes there are
    """
    # torch's threads spin while they wait: five times slower as soon as anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is first imported


@main.command(cls=_Reported)
@click.argument("recipe", required=False)
@click.option("--list", "list_only", is_flag=True, help="List the recipes.")
@named_option
@click.option("--out", type=FOLDER, default=Path("bundles"), show_default=True)
@click.option("--quantize", type=click.Choice([str(each) for each in Quantization]))
@click.option(
    "--adapter",
    type=FILE,
    help="Merge this adapter instead of the recipe's own; `adapt` trains one.",
)
@click.option(
    "--speech",
    type=FOLDER,
    envvar="EDGE_ASR_SPEECH",
    show_envvar=True,
    help="More speech for the quality gate: a folder with a manifest.jsonl.",
)
@work_option
@sounds_option
@debug_option
def build(
    recipe: str | None,
    list_only: bool,  # noqa: FBT001 (click passes options by name)
    named: str | None,
    out: Path,
    quantize: str | None,
    adapter: Path | None,
    speech: Path | None,
    work: Path,
    sounds: Path,
    debug: bool,  # noqa: ARG001, FBT001 (see _Reported)
) -> None:
    """Build the bundle of RECIPE: a name from models/, or a .yaml file."""
    if list_only:
        _list()
        return
    if recipe is None:
        raise click.UsageError("name a recipe, or --list them")
    from export.adapters import find_adapter
    from export.build import build as build_bundle
    from export.order import Order
    from export.source import find_weights

    path = find_recipe(recipe)
    asked = read_recipe(path)
    weights = find_weights(asked, named, work)
    build_bundle(
        Order(
            recipe=asked,
            recipe_directory=path.parent,
            weights=weights,
            adapter=find_adapter(asked, path.parent, adapter, weights),
            quantization=Quantization(quantize) if quantize else asked.quantize,
            out=out,
            work=work,
            sounds=sounds,
            speech=speech,
            reporter=Reporter(),
        ),
    )


@main.command(cls=_Reported)
@click.option("--out", type=FOLDER, default=Path("build/sample"), show_default=True)
@sounds_option
@debug_option
def sample(out: Path, sounds: Path, debug: bool) -> None:  # noqa: ARG001, FBT001
    """Build the project's own speech sample."""
    from export.sample import build_sample

    build_sample(out, sounds=sounds)
    Reporter().say(f"{out}: written")


@main.command(cls=_Reported)
@click.argument("recipe")
@click.option(
    "--speech",
    type=FOLDER,
    envvar="EDGE_ASR_SPEECH",
    show_envvar=True,
    multiple=True,
    required=True,
    help="A folder of recordings; no transcripts are needed. May be given several times.",
)
@click.option("--out", type=FILE, required=True, help="The adapter, a .safetensors file.")
@named_option
@click.option(
    "--begin",
    type=FILE,
    help="Go on from this adapter instead of the recipe's own.",
)
@click.option("--anew", is_flag=True, help="Begin with nothing instead.")
@click.option(
    "--rank",
    type=click.IntRange(1),
    help="Width of what is trained.  [default: as begun with, else 8]",
)
@click.option("--steps", default=400, show_default=True)
@click.option(
    "--pieces",
    default=700,
    show_default=True,
    help="Utterances to learn from; a third of them at least are varied ones.",
)
@click.option("--margin", default=32, show_default=True, help="Frames of 20 ms behind them, later.")
@click.option("--seed", default=1, show_default=True)
@work_option
@debug_option
def adapt(
    recipe: str,
    speech: tuple[Path, ...],
    out: Path,
    named: str | None,
    begin: Path | None,
    anew: bool,  # noqa: FBT001
    rank: int | None,
    steps: int,
    pieces: int,
    margin: int,
    seed: int,
    work: Path,
    debug: bool,  # noqa: ARG001, FBT001
) -> None:
    """Teach a Whisper to hear utterances in windows as short as themselves.

    It learns from what it hears itself in its full window, so recordings are enough: those of the
    site where it will work are best. A sixth of them is kept aside to tell what it has learnt.
    Where the recipe has an adapter, it goes on from there.

    \b
    python -m export adapt whisper-base --speech recordings --out site.safetensors
    python -m export whisper-base --adapter site.safetensors
    """
    if begin is not None and anew:
        raise click.UsageError("--begin and --anew cannot both be")
    from export.adapters import find_adapter
    from export.source import find_weights
    from export.whisper_adapt import Training, adapt_whisper, check_recipe

    path = find_recipe(recipe)
    asked = read_recipe(path)
    check_recipe(asked)
    weights = find_weights(asked, named, work)
    adapt_whisper(
        Training(
            recipe=asked,
            weights=weights,
            begin=None if anew else find_adapter(asked, path.parent, begin, weights),
            folders=speech,
            out=out,
            work=work,
            reporter=Reporter(),
            rank=rank,
            n_steps=steps,
            n_pieces=pieces,
            margin=margin,
            seed=seed,
        )
    )


def _list() -> None:
    for known in list_recipes():
        click.echo(f"{known.name:<18}{known.summary}")


if __name__ == "__main__":
    main(prog_name="python -m export")
