"""``transcribe``: sound files to text, on standard output or beside the files."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_asr.capture.vad import open_vad
from edge_asr.cli.asked import request_from, request_options
from edge_asr.errors import AudioFileError, EdgeAsrError, RequestError
from edge_asr.formats import FORMATS, FileTranscript, as_timed_txt, one_line
from edge_asr.transcribe import FileTranscriber

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from edge_asr.bundle import Bundle
    from edge_asr.cli.context import Context
    from edge_asr.formats import FileTranscript


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@request_options
@click.option("--bundle", metavar="NAME|DIR", help="Speech model to use; as before the command.")
@click.option(
    "--format",
    "output",
    type=click.Choice(list(FORMATS)),
    default="txt",
    show_default=True,
    help="What to print for each file.",
)
@click.option(
    "--words",
    is_flag=True,
    help="A line, row or cue for each word, with its times. JSON has them anyway.",
)
@click.option(
    "--partials",
    is_flag=True,
    help="Tell on stderr what each utterance said so far, second by second.",
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
    /,
    files: tuple[Path, ...],
    bundle: str | None,
    output: str,
    words: bool,  # noqa: FBT001 (a flag of the command line)
    partials: bool,  # noqa: FBT001 (the same)
    output_dir: Path | None,
    **asked: Any,  # noqa: ANN401 (the options of request_options)
) -> None:
    """Print the text of sound files: WAV, FLAC, Ogg, MP3, and what else libsndfile reads.

    A file that cannot be read is named on stderr; the others are transcribed all the same, and the
    exit status is 1.

    \b
    Examples:
      edge-asr transcribe call.wav
      edge-asr transcribe --language de --format srt film.flac > film.srt
      edge-asr transcribe --words --bundle granite-4.0-1b-speech call.wav
      edge-asr transcribe --task translate *.wav --format jsonl
      edge-asr transcribe --punctuated --bundle granite-speech-4.1-2b call.wav
    """
    context.bundle_name = bundle or context.bundle_name
    request = request_from(context.config.recognition.request, **asked)
    vad_bundle = context.open_vad_bundle()
    recognizer = context.open_recognizer()
    recognizer.check(request)
    if words:
        _check_words(recognizer.bundle)
    transcriber = FileTranscriber(open_vad(vad_bundle), context.config.vad, recognizer)
    show = _Shown(output, output_dir, n_files=len(files), by_word=words)
    n_failed = 0
    for path in files:
        try:
            with _progress(path) as progress:
                result = transcriber.transcribe(
                    path, request, progress=progress, tell_partial=_tell if partials else None
                )
        except AudioFileError as error:
            click.echo(f"edge-asr: {error}", err=True)
            n_failed += 1
        else:
            show.add(path, result)
    show.finish()
    if n_failed:
        raise EdgeAsrError(f"{n_failed} of {len(files)} files could not be transcribed")


def _tell(at_s: float, text: str) -> None:
    click.echo(f"{at_s:9.2f} ... {one_line(text)}", err=True)


def _check_words(bundle: Bundle) -> None:
    """Check that a bundle can tell when each word was said.

    Raises:
        RequestError: it cannot.
    """
    if not bundle.manifest.capabilities.timestamps:
        raise RequestError(
            f"bundle {bundle.name} does not say when each word was said; leave out --words, or "
            "choose a bundle that edge-asr bundle info says has timestamps",
        )


class _Shown:
    """Prints results as they come, or writes each beside its name in a folder."""

    def __init__(
        self, output: str, output_dir: Path | None, *, n_files: int, by_word: bool
    ) -> None:
        self._output = output
        self._by_word = by_word and not output.startswith("json")
        self._output_dir = output_dir
        self._is_array = output == "json" and n_files > 1 and output_dir is None
        """Several JSON objects on one output are one array, or they would be no JSON."""
        self._n_shown = 0
        if output_dir is not None:
            output_dir.mkdir(parents=True, exist_ok=True)

    def add(self, path: Path, result: FileTranscript) -> None:
        """Show one file's result."""
        write = FORMATS[self._output]
        if self._by_word:
            result = result.in_words
            write = as_timed_txt if self._output == "txt" else write
        text = write(result)
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
