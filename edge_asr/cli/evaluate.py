"""``evaluate``: how well bundles understand clips whose text is known."""

from __future__ import annotations

import platform
import sys
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_asr.cli.asked import request_from, request_options
from edge_asr.errors import EvaluationError
from edge_asr.evaluation.systems import AsHeard, Asked, Whole
from edge_asr.records import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_asr.cli.context import Context
    from edge_asr.evaluation.clips import Clip
    from edge_asr.evaluation.measuring import Scored
    from edge_asr.evaluation.systems import System

CUTS = AS_HEARD, WHOLE, BOTH = "as-heard", "whole", "both"
_FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("place", metavar="MANIFEST|FOLDER", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--bundle",
    "bundles",
    multiple=True,
    metavar="NAME|DIR",
    help="Bundle to evaluate; several are compared. Without it, the one that is configured.",
)
@click.option(
    "--cut",
    type=click.Choice(CUTS),
    default=AS_HEARD,
    show_default=True,
    help="Recognize what the segmenter cuts out, as in service; the whole file; or both, which "
    "shows what the segmenter costs.",
)
@click.option("--detect", is_flag=True, help="Detect the language, also where the clip says it.")
@click.option("--limit", type=click.IntRange(1), metavar="N", help="At most N clips a language.")
@click.option("--tag", "tags", multiple=True, help="Only clips with this tag.")
@click.option("--strict", is_flag=True, help="Only texts that no recognizer has touched.")
@click.option(
    "--beside",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="FILE",
    help="Results that --json wrote earlier, shown beside these.",
)
@click.option("--json", "json_file", type=_FILE, metavar="FILE", help="Write all results there.")
@click.option("--html", "html_file", type=_FILE, metavar="FILE", help="Write a report there.")
@click.option(
    "--format",
    "output",
    type=click.Choice(["table", "json", "jsonl"]),
    default="table",
    show_default=True,
    help="What to print: a table, everything as JSON, or the clips, one a line.",
)
@request_options
@click.pass_obj
def evaluate(
    context: Context,
    /,
    place: Path,
    bundles: tuple[str, ...],
    cut: str,
    detect: bool,  # noqa: FBT001
    limit: int | None,
    tags: tuple[str, ...],
    strict: bool,  # noqa: FBT001
    beside: tuple[Path, ...],
    json_file: Path | None,
    html_file: Path | None,
    output: str,
    **asked: Any,  # noqa: ANN401 (the options of request_options)
) -> None:
    """Measure how well a bundle understands clips whose text is known.

    MANIFEST is a manifest.jsonl: one object a line with path, language ("none" where nobody
    speaks), text, and where known tags, keywords and duration_s. A folder holds one, or
    LibriSpeech's own layout.

    Translations (--task translate) are held against those of the manifest, translations: {"en":
    ...}, by BLEU and chrF.

    Errors are counted after Whisper's normalisation: by word, and by character in languages
    without spaces. Needs the extra: pip install 'edge-asr[evaluate]'.

    \b
    Examples:
      edge-asr evaluate clips/manifest.jsonl --html report.html
      edge-asr evaluate LibriSpeech/dev-clean --limit 200
      edge-asr evaluate clips --bundle whisper-base --bundle whisper-tiny.en
      edge-asr evaluate clips --task translate --bundle whisper-base
      edge-asr evaluate clips --cut both --json today.json --beside yesterday.json
    """
    from edge_asr.evaluation.measuring import measure

    clips = chosen(place, limit, tags, strict=strict)
    request = request_from(context.config.recognition.request, **asked)
    systems = opened(context, bundles, cut, Asked(request, detect))
    if request.task is Task.TRANSLATE:
        if html_file or beside:
            raise click.UsageError("--html and --beside are about transcription")
        target = request.target_language or "en"
        show_translations(clips, list(systems), target, json_file=json_file, output=output)
        return
    with progress_bar() as progress:
        scored = measure(
            clips,
            list(systems),
            progress=progress,
            complain=_complain,
        )
    what = {system.name: description for system, description in systems.items()}
    for path in beside:
        scored += _earlier(path, what)
    show(str(place), what, scored, json_file=json_file, html_file=html_file, output=output)


def show_translations(
    clips: Sequence[Clip],
    systems: Sequence[System],
    target: str,
    *,
    json_file: Path | None,
    output: str,
) -> None:
    """Measure translations, and write and print how good they are."""
    import json

    from edge_asr.cli.evaluation_table import print_qualities
    from edge_asr.evaluation.translation import as_fields, qualities, translate, with_reference

    with progress_bar() as progress:
        done = translate(
            with_reference(clips, target), systems, progress=progress, complain=_complain
        )
    found = qualities(done)
    fields = as_fields(found, done)
    whole = json.dumps(fields, ensure_ascii=False, indent=1) + "\n"
    if json_file is not None:
        json_file.write_text(whole, encoding="utf-8")
    if output == "json":
        click.echo(whole, nl=False)
    elif output == "jsonl":
        for clip in fields["clips"]:
            click.echo(json.dumps(clip, ensure_ascii=False))
    else:
        print_qualities(found)


def _complain(text: str) -> None:
    click.echo(f"edge-asr: left out: {text}", err=True)


def chosen(place: Path, limit: int | None, tags: Sequence[str], *, strict: bool) -> list[Clip]:
    """Return the clips that are asked for.

    Raises:
        EvaluationError: there are none.
    """
    from edge_asr.evaluation.clips import pick_clips, read_clips

    clips = [
        clip
        for clip in read_clips(place)
        if (not tags or set(tags) & set(clip.tags))
        and (not strict or clip.is_strict or not clip.is_speech)
    ]
    if not clips:
        raise EvaluationError(f"{place}: no clip is as asked for")
    return clips if limit is None else pick_clips(clips, limit)


def opened(context: Context, bundles: Sequence[str], cut: str, asked: Asked) -> dict[System, str]:
    """Open what is evaluated; return each system and what it is."""
    from edge_asr.bundle import find_bundle, open_bundle
    from edge_asr.capture.vad import open_vad
    from edge_asr.transcribe import FileTranscriber

    names = bundles or [context.bundle_name or context.config.recognition.bundle]
    systems: dict[System, str] = {}
    for name in names:
        bundle = open_bundle(find_bundle(name, context.bundle_dirs))
        recognizer = context.open_recognizer(bundle)
        recognizer.check(asked.request)
        languages = frozenset(bundle.manifest.capabilities.languages)
        described = f"bundle {bundle.name} ({bundle.sha256[:12]})"
        if cut != WHOLE:
            vad = open_vad(context.open_vad_bundle())
            ears = FileTranscriber(vad, context.config.vad, recognizer)
            systems[AsHeard(bundle.name, languages, ears, asked)] = f"{described}, cut as heard"
        if cut != AS_HEARD:
            title = bundle.name if cut == WHOLE else f"{bundle.name}, whole files"
            systems[Whole(title, languages, recognizer, asked)] = f"{described}, whole files"
    return systems


def _earlier(path: Path, what: dict[str, str]) -> list[Scored]:
    """Return earlier results, their systems under names that are not in ``what``, and add them."""
    from edge_asr.evaluation.results import read_results

    earlier, found = read_results(path)
    names = {name: f"{name} ({path.stem})" if name in what else name for name in earlier.systems}
    what.update({names[name]: description for name, description in earlier.systems.items()})
    return [replace(each, system=names[each.system]) for each in found]


def show(
    title: str,
    what: dict[str, str],
    scored: Sequence[Scored],
    *,
    json_file: Path | None,
    html_file: Path | None,
    output: str,
) -> None:
    """Write and print what was measured.

    Args:
        title: what was heard.
        what: name of a system -> what it is.
        scored: all results.
        json_file: where they go as JSON.
        html_file: where the report goes.
        output: what is printed: ``table``, ``json`` or ``jsonl``.
    """
    from edge_asr import __version__
    from edge_asr.evaluation.results import Run, as_json, as_jsonl
    from edge_asr.evaluation.summary import summarize

    created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    machine = f"{platform.machine()}, {platform.system()} {platform.release()}"
    run = Run(title, created, __version__, machine, what)
    summaries = summarize(scored)
    if json_file is not None:
        json_file.write_text(as_json(run, scored, summaries), encoding="utf-8")
    if html_file is not None:
        from edge_asr.evaluation.report import as_html

        html_file.write_text(as_html(run, scored, summaries), encoding="utf-8")
    if output == "json":
        click.echo(as_json(run, scored, summaries), nl=False)
        return
    if output == "jsonl":
        click.echo(as_jsonl(scored), nl=False)
        return
    from edge_asr.cli.evaluation_table import print_summaries

    print_summaries(summaries)


@contextmanager
def progress_bar() -> Iterator[Callable[[int, int], None]]:
    """Show how many clips are done on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("clips", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
