"""``transcribe``: sound files to text, on standard output or beside the files."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_asr.capture.vad import open_vad
from edge_asr.errors import AudioFileError, EdgeAsrError
from edge_asr.formats import FORMATS, FileTranscript
from edge_asr.records import Request, Task
from edge_asr.transcribe import FileTranscriber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_asr.cli.context import Context
    from edge_asr.formats import FileTranscript


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@click.option("--language", metavar="CODE", help="Spoken language (en, de, ...); else detected.")
@click.option(
    "--languages",
    metavar="CODES",
    help="Languages that detection may answer, with commas: en,de,fr.",
)
@click.option(
    "--task", type=click.Choice([task.value for task in Task]), help="Default: transcribe."
)
@click.option("--target-language", metavar="CODE", help="For the task translate; else English.")
@click.option("--keywords", metavar="WORDS", help='Words to expect: "Kanban, Siemens S7".')
@click.option(
    "--format",
    "output",
    type=click.Choice(list(FORMATS)),
    default="txt",
    show_default=True,
    help="What to print for each file.",
)
@click.option(
    "--output-dir",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="Write one file for each input there, instead of printing.",
)
@click.pass_obj
def transcribe(
    context: Context,
    files: tuple[Path, ...],
    language: str | None,
    languages: str | None,
    task: str | None,
    target_language: str | None,
    keywords: str | None,
    output: str,
    output_dir: Path | None,
) -> None:
    r"""Print the text of sound files: WAV, FLAC, Ogg, MP3, and what else libsndfile reads.

    A file that cannot be read is named on stderr; the others are transcribed all the same, and the
    exit status is 1.

    \b
    Examples:
      edge-asr transcribe call.wav
      edge-asr transcribe --language de --format srt film.flac > film.srt
      edge-asr transcribe --task translate *.wav --format jsonl
    """
    request = _request(
        context.config.recognition.request,
        language=language,
        languages=_listed(languages),
        task=task,
        target_language=target_language,
        keywords=_listed(keywords),
    )
    vad_bundle = context.open_vad_bundle()
    recognizer = context.open_recognizer()
    recognizer.bundle.check(request)
    transcriber = FileTranscriber(open_vad(vad_bundle), context.config.vad, recognizer)
    show = _Shown(output, output_dir, n_files=len(files))
    n_failed = 0
    for path in files:
        try:
            with _progress(path) as progress:
                result = transcriber.transcribe(path, request, progress=progress)
        except AudioFileError as error:
            click.echo(f"edge-asr: {error}", err=True)
            n_failed += 1
        else:
            show.add(path, result)
    show.finish()
    if n_failed:
        raise EdgeAsrError(f"{n_failed} of {len(files)} files could not be transcribed")


def _request(
    configured: Request,
    *,
    language: str | None,
    languages: tuple[str, ...],
    task: str | None,
    target_language: str | None,
    keywords: tuple[str, ...],
) -> Request:
    """Return what is asked: what was given, else what is configured."""
    if language and languages:
        raise click.UsageError("give either --language or --languages")
    if not (language or languages):
        language, languages = configured.language, configured.allowed_languages
    return Request(
        task=Task(task) if task else configured.task,
        language=language,
        allowed_languages=languages,
        target_language=target_language or configured.target_language,
        keywords=keywords or configured.keywords,
    )


def _listed(words: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (words or "").split(",") if word.strip())


class _Shown:
    """Prints results as they come, or writes each beside its name in a folder."""

    def __init__(self, output: str, output_dir: Path | None, *, n_files: int) -> None:
        self._output = output
        self._output_dir = output_dir
        self._is_array = output == "json" and n_files > 1 and output_dir is None
        """Several JSON objects on one output are one array, or they would be no JSON."""
        self._n_shown = 0
        if output_dir is not None:
            output_dir.mkdir(parents=True, exist_ok=True)

    def add(self, path: Path, result: FileTranscript) -> None:
        """Show one file's result."""
        text = FORMATS[self._output](result)
        if self._output_dir is not None:
            target = self._output_dir / f"{path.name}.{self._output}"
            target.write_text(text, encoding="utf-8")
            return
        if self._is_array:
            text = (",\n" if self._n_shown else "[\n") + text.rstrip("\n")
        click.echo(text, nl=False)
        self._n_shown += 1

    def finish(self) -> None:
        """Print what must follow the last result."""
        if self._is_array:
            click.echo("\n]" if self._n_shown else "[]")


@contextmanager
def _progress(path: Path) -> Iterator[Callable[[float, float], None]]:
    """Show a progress bar on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _done_s, _total_s: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as TimeRemaining

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(path.name, total=None)
        yield lambda done_s, total_s: bar.update(task, completed=done_s, total=total_s)
