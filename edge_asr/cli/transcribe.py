"""``transcribe``: sound files to text, on standard output or beside the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_asr.capture.vad import open_vad
from edge_asr.errors import AudioFileError, EdgeAsrError
from edge_asr.formats import FORMATS, FileTranscript, Segment
from edge_asr.records import Request, Task
from edge_asr.transcribe import FileTranscriber

if TYPE_CHECKING:

    from edge_asr.cli.context import Context


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
    configured = context.config.recognition.request
    request = Request(
        task=Task(task) if task else configured.task,
        language=language or (None if languages else configured.language),
        allowed_languages=_listed(languages) if languages else configured.allowed_languages,
        target_language=target_language or configured.target_language,
        keywords=_listed(keywords) if keywords else configured.keywords,
    )
    if request.language and request.allowed_languages:
        request = Request(
            task=request.task,
            language=request.language,
            target_language=request.target_language,
            keywords=request.keywords,
        )
    recognizer = context.open_recognizer()
    recognizer.bundle.check(request)
    transcriber = FileTranscriber(
        open_vad(context.open_vad_bundle()),
        context.config.vad,
        recognizer,
    )
    done: list[FileTranscript] = []
    n_failed = 0
    for path in files:
        try:
            with _progress(path) as progress:
                spoken, duration_s = transcriber.transcribe(path, request, progress=progress)
        except AudioFileError as error:
            click.echo(f"edge-asr: {error}", err=True)
            n_failed += 1
            continue
        result = FileTranscript(
            file=str(path),
            duration_s=duration_s,
            segments=tuple(
                Segment(
                    start_s=item.start_s,
                    end_s=item.end_s,
                    text=item.recognition.text,
                )
                for item in spoken
            ),
        )
        done.append(result)
    if n_failed:
        raise EdgeAsrError(f"{n_failed} of {len(files)} files could not be transcribed")


def _listed(words: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in words.split(",") if word.strip())
