"""Options that say what is asked of a recognizer, and the request that they make."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edge_asr.records import SPEECH_TASKS, Drafts, Task

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.records import Request

_OPTIONS = (
    click.option(
        "--language", metavar="CODE", help="Spoken language (en, de, ...); else detected."
    ),
    click.option(
        "--languages",
        metavar="CODES",
        help="Languages that detection may answer, with commas: en,de,fr.",
    ),
    click.option(
        "--task",
        type=click.Choice([task.value for task in SPEECH_TASKS]),
        help="Default: transcribe.",
    ),
    click.option("--target-language", metavar="CODE", help="For the task translate; else English."),
    click.option("--keywords", metavar="WORDS", help='Words to expect: "Kanban, Siemens S7".'),
    click.option(
        "--keywords-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        metavar="FILE",
        help="More of them, one a line.",
    ),
    click.option(
        "--punctuated/--not-punctuated",
        default=None,
        help="Ask for punctuation and capital letters.",
    ),
    click.option(
        "--drafts",
        type=click.Choice([drafts.value for drafts in Drafts]),
        help="Use of the model's own draft, if it makes one: exact (the text stays the same), "
        "fast (the draft may become the text), off.",
    ),
    click.option(
        "--beam",
        type=click.IntRange(1, 16),
        metavar="N",
        help="Texts that a Whisper follows at once where it doubts the likeliest; 1: only that.  "
        "[default: 5]",
    ),
)

numerals_option = click.option(
    "--numerals/--no-numerals",
    default=None,
    help="Write numbers as digits (twenty-three: 23); else as configured.",
)


def request_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options to a command, which passes them on to :func:`request_from`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def request_from(
    configured: Request,
    *,
    language: str | None = None,
    languages: str | None = None,
    task: str | None = None,
    target_language: str | None = None,
    keywords: str | None = None,
    keywords_file: Path | None = None,
    punctuated: bool | None = None,
    drafts: str | None = None,
    beam: int | None = None,
) -> Request:
    """Return what is asked: what was given, else what is configured.

    Raises:
        click.UsageError: two options contradict each other, or the file cannot be read.
    """
    if language and languages:
        raise click.UsageError("give either --language or --languages")
    spoken = (language, _listed(languages))
    if not any(spoken):
        spoken = (configured.language, configured.allowed_languages)
    drafting = configured.drafting
    return replace(
        configured,
        task=Task(task) if task else configured.task,
        language=spoken[0],
        allowed_languages=spoken[1],
        target_language=target_language or configured.target_language,
        keywords=(*_listed(keywords), *_lines(keywords_file)) or configured.keywords,
        punctuated=configured.punctuated if punctuated is None else punctuated,
        drafting=replace(drafting, mode=Drafts(drafts)) if drafts else drafting,
        beam=beam or configured.beam,
    )


def _listed(words: str | None) -> tuple[str, ...]:
    return tuple(word.strip() for word in (words or "").split(",") if word.strip())


def _lines(path: Path | None) -> tuple[str, ...]:
    if path is None:
        return ()
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{path}: not a file of UTF-8 text, one keyword a line") from error
    return tuple(line.strip() for line in text.splitlines() if line.strip())
