"""``transcribe``: sound files to text, on standard output or beside the files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_asr.capture.vad import open_vad
from edge_asr.cli.asked import numerals_option, request_from, request_options
from edge_asr.cli.bars import bar_of_all, bar_of_file
from edge_asr.cli.shown import Shown
from edge_asr.errors import AudioFileError, EdgeAsrError, RequestError
from edge_asr.formats import FORMATS, one_line
from edge_asr.rewriting import configured
from edge_asr.sessions import n_cores
from edge_asr.transcribe import FileTranscriber, Outcome, total_duration_s

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from edge_asr.bundle import Bundle
    from edge_asr.cli.context import Context
    from edge_asr.formats import FileTranscript
    from edge_asr.journal import Journal
    from edge_asr.records import Request

MOST_SPEAKERS = 32
LONG_S = 300.0
"""More sound than this is worth the start of further processes."""
VOICES = "voice-encoder"
"""The bundle that tells voices apart."""
_AS_MANY_AS_FOUND = 0


def _n_speakers(_context: click.Context, _option: click.Parameter, given: str | None) -> int | None:
    """Return how many speakers there are; 0: as many as can be told apart; None: nobody asked."""
    if given is None:
        return None
    if given == "auto":
        return _AS_MANY_AS_FOUND
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= MOST_SPEAKERS):
        raise click.BadParameter(f"write auto, or a number from 1 to {MOST_SPEAKERS}")
    return int(given)


@click.command()
@click.argument(
    "files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE..."
)
@request_options
@numerals_option
@click.option(
    "--speakers",
    metavar="auto|N",
    callback=_n_speakers,
    help="Label who spoke, S1, S2, ...: as many as can be told apart, or N. Needs the bundle "
    f"{VOICES}.",
)
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
    help="Write one file for each input there, instead of printing. What is broken off goes on "
    "where it stopped when it is asked for again.",
)
@click.option(
    "--resume", is_flag=True, help="Leave out inputs whose file in --output-dir is there already."
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    metavar="N",
    help="Processes that recognize, each on one core.  [default: one on every core for more than "
    f"{LONG_S / 60:.0f} minutes of sound; else this process recognizes]",
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
    resume: bool,  # noqa: FBT001 (the same)
    jobs: int | None,
    numerals: bool | None,  # noqa: FBT001 (the same)
    speakers: int | None,
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
      edge-asr transcribe --output-dir texts --resume archive/*.flac
      edge-asr transcribe --numerals --language en call.wav
      edge-asr transcribe --speakers auto --format vtt meeting.flac
      edge-asr transcribe --punctuated --bundle granite-speech-4.1-2b call.wav
    """
    context.bundle_name = bundle or context.bundle_name
    request = request_from(context.config.recognition.request, **asked)
    rewriting = configured(context.config, numerals=numerals)
    tell_apart = _telling_apart(context, speakers)
    if resume and output_dir is None:
        raise click.UsageError("--resume needs --output-dir")
    if partials and jobs:
        raise click.UsageError("--partials follows one utterance at a time: leave out --jobs")
    show = Shown(output, output_dir, n_files=len(files), by_word=words)
    waiting = [path for path in files if not (resume and show.has(path))]

    def check(bundle: Bundle) -> None:
        bundle.check(request)
        if words:
            _check_words(bundle)

    total_s = total_duration_s(waiting)
    if not partials and (jobs or total_s > LONG_S):
        outcomes = _on_all_cores(context, waiting, total_s, request, check, jobs, output_dir)
    else:
        tell = _tell if partials else None
        outcomes = _in_this_process(context, waiting, request, check, tell)
    n_failed = 0
    for outcome in outcomes:
        if outcome.transcript is None:
            click.echo(f"edge-asr: {outcome.error}", err=True)
            n_failed += 1
        else:
            found = rewriting.of_file(outcome.transcript)
            show.add(outcome.path, tell_apart(outcome.path, found))
    show.finish()
    if n_failed:
        raise EdgeAsrError(f"{n_failed} of {len(files)} files could not be transcribed")


def _telling_apart(
    context: Context, speakers: int | None
) -> Callable[[Path, FileTranscript], FileTranscript]:
    """Return what labels the speakers of a file, where that is wanted."""
    if speakers is None:
        return lambda _path, found: found
    from edge_asr.bundle import find_bundle, open_bundle
    from edge_asr.recognizers.voice import FAMILY, open_voice_encoder
    from edge_asr.speakers import label

    directory = find_bundle(VOICES, context.bundle_dirs)
    voices = open_voice_encoder(open_bundle(directory, family=FAMILY))
    return lambda path, found: label(path, found, voices, speakers or None)


def _in_this_process(
    context: Context,
    paths: Sequence[Path],
    request: Request,
    check: Callable[[Bundle], None],
    tell_partial: Callable[[float, str], None] | None,
) -> Iterator[Outcome]:
    vad_bundle = context.open_vad_bundle()
    recognizer = context.open_recognizer()
    check(recognizer.bundle)
    transcriber = FileTranscriber(open_vad(vad_bundle), context.config.vad, recognizer)
    for path in paths:
        try:
            with bar_of_file(path.name) as progress:
                result = transcriber.transcribe(
                    path, request, progress=progress, tell_partial=tell_partial
                )
        except AudioFileError as error:
            yield Outcome(path, None, error)
        else:
            yield Outcome(path, result)


def _on_all_cores(
    context: Context,
    paths: Sequence[Path],
    total_s: float,
    request: Request,
    check: Callable[[Bundle], None],
    jobs: int | None,
    journals: Path | None,
) -> Iterator[Outcome]:
    from edge_asr.archive import ArchiveTranscriber
    from edge_asr.journal import Purpose, journal_in
    from edge_asr.workers import Workers

    bundle = context.open_speech_bundle()
    check(bundle)
    vad = open_vad(context.open_vad_bundle())
    purpose = Purpose(bundle.sha256, request)

    def journal_of(path: Path) -> Journal | None:
        return journal_in(journals, path, purpose) if journals else None

    with (
        Workers(bundle.directory, jobs or n_cores()) as workers,
        bar_of_all(f"{len(paths)} files", total_s) as progress,
    ):
        archive = ArchiveTranscriber(vad, context.config.vad, workers, journal_of)
        yield from archive.transcribe(paths, request, progress)


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
