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


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("recipe", required=False)
@click.option("--list", "list_only", is_flag=True, help="List the recipes.")
@click.option(
    "--from",
    "named",
    metavar="DIR|ORG/NAME",
    help="Take the weights from a checkpoint folder, or from a repository of the hub.",
)
@click.option(
    "--out",
    type=FOLDER,
    help="Folder that holds bundles, or of the sample.  [default: bundles, or build/sample]",
)
@click.option("--quantize", type=click.Choice([str(each) for each in Quantization]))
@click.option(
    "--speech",
    type=FOLDER,
    envvar="EDGE_ASR_SPEECH",
    show_envvar=True,
    help="More speech for the quality gate: a folder with a manifest.jsonl.",
)
@click.option("--work", type=FOLDER, default=Path("build/export"), show_default=True)
@click.option(
    "--sounds",
    type=FOLDER,
    default=Path("/usr/share/asterisk/sounds"),
    show_default=True,
    help="Recorded prompts that the sample is made from.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def main(
    recipe: str | None,
    list_only: bool,  # noqa: FBT001 (click passes options by name)
    named: str | None,
    out: Path | None,
    quantize: str | None,
    speech: Path | None,
    work: Path,
    sounds: Path,
    debug: bool,  # noqa: FBT001
) -> None:
    """Build the bundle of RECIPE: a name from models/, or a .yaml file.

    RECIPE `sample` builds the project's own speech sample.
    """
    # torch's threads spin while they wait: five times slower as soon as anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is first imported
    reporter = Reporter()
    try:
        if list_only:
            _list()
        elif recipe is None:
            raise click.UsageError("name a recipe, or --list them")
        elif recipe == "sample":
            _build_sample(out or Path("build/sample"), sounds, reporter)
        else:
            bundles = out or Path("bundles")
            _build(recipe, named, bundles, quantize, speech, work, sounds, reporter)
    except EdgeAsrError as error:
        if debug:
            raise
        reporter.say(f"error: {error}")
        sys.exit(error.exit_status)


def _list() -> None:
    for known in list_recipes():
        click.echo(f"{known.name:<18}{known.summary}")


def _build_sample(sample: Path, sounds: Path, reporter: Reporter) -> None:
    from export.sample import build_sample

    build_sample(sample, sounds=sounds)
    reporter.say(f"{sample}: written")


def _build(
    recipe: str,
    named: str | None,
    out: Path,
    quantize: str | None,
    speech: Path | None,
    work: Path,
    sounds: Path,
    reporter: Reporter,
) -> None:
    from export.build import build
    from export.order import Order
    from export.source import find_weights

    path = find_recipe(recipe)
    asked = read_recipe(path)
    build(
        Order(
            recipe=asked,
            recipe_directory=path.parent,
            weights=find_weights(asked, named, work),
            quantization=Quantization(quantize) if quantize else asked.quantize,
            out=out,
            work=work,
            sounds=sounds,
            speech=speech,
            reporter=reporter,
        ),
    )


if __name__ == "__main__":
    main(prog_name="python -m export")
