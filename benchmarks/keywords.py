"""``python -m benchmarks.keywords``: what a list of keywords gives, and what it costs.

Every clip is recognized twice, without the list and with all of it. Of clips with ``keywords`` in
their manifest it is counted how many were missed, and how many of these were found with the list;
of ``--others``, in which none of them is said, what the list did to the error rate and how often it
put in a keyword. :mod:`benchmarks.keyword_clips` makes clips.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import click

from edge_asr.bundle import open_bundle
from edge_asr.evaluation.clips import Clip, read_clips
from edge_asr.evaluation.scoring import Errors, count_errors, has_keyword
from edge_asr.evaluation.systems import read_waveform
from edge_asr.recognizers import Recognizer, open_recognizer
from edge_asr.records import Request

_FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class Heard:
    """A clip without the list and with it."""

    clip: Clip
    without: str
    given: str
    without_s: float
    given_s: float

    def brought(self, keywords: tuple[str, ...]) -> list[str]:
        """Return the keywords that only the list brought."""
        language = self.clip.language
        return [
            keyword
            for keyword in keywords
            if has_keyword(keyword, self.given, language)
            and not has_keyword(keyword, self.without, language)
        ]


def hear(recognizer: Recognizer, clip: Clip, keywords: tuple[str, ...]) -> Heard:
    """Recognize a clip twice."""
    waveform = read_waveform(clip.path)
    plain = Request(language=clip.language if clip.is_speech else "en")
    without = recognizer.transcribe(waveform, plain)
    given = recognizer.transcribe(waveform, replace(plain, keywords=keywords))
    return Heard(clip, without.text, given.text, without.decode_s, given.decode_s)


def show_spoken(heard: list[Heard], keywords: tuple[str, ...]) -> None:
    """Print what happened to keywords that were said."""
    missed = found = lost = wrong = 0
    for each in heard:
        for keyword in each.clip.keywords:
            before, after = (
                has_keyword(keyword, text, each.clip.language)
                for text in (each.without, each.given)
            )
            missed += not before
            found += after and not before
            lost += before and not after
        wrong += len(set(each.brought(keywords)) - set(each.clip.keywords))
    share = 100 * found / max(1, missed)
    click.echo(
        f"{len(heard)} clips: {missed} keywords missed, {found} of them found ({share:.0f} %)"
    )
    click.echo(f"  {lost} lost, {wrong} written that were not said; {_rates(heard)}")


def show_others(heard: list[Heard], keywords: tuple[str, ...]) -> None:
    """Print what a list does where nobody says what is in it."""
    for is_speech, name in ((True, "speech"), (False, "without speech")):
        some = [each for each in heard if each.clip.is_speech is is_speech]
        brought = [keyword for each in some for keyword in each.brought(keywords)]
        changed = sum(each.without != each.given for each in some)
        click.echo(
            f"{len(some)} others, {name}: {changed} changed, {len(brought)} keywords written "
            f"{brought}; {_rates(some)}"
        )


def _rates(heard: list[Heard]) -> str:
    before, after = Errors(), Errors()
    for each in heard:
        if each.clip.is_speech:
            before += count_errors(each.clip.text, each.without, each.clip.language)
            after += count_errors(each.clip.text, each.given, each.clip.language)
    slower = sum(each.given_s for each in heard) / max(1e-9, sum(each.without_s for each in heard))
    return f"WER {before.wer:.2f} -> {after.wer:.2f} %, time x {slower:.2f}"


@click.command()
@click.option("--bundle", required=True, type=_FOLDER, help="A bundle that takes keywords.")
@click.option("--clips", required=True, type=_FOLDER, help="Clips that say keywords.")
@click.option("--others", type=_FOLDER, help="Clips that say none of them.")
@click.option("--language", multiple=True, help="Of --others; default: all.")
@click.option("--threads", default=1, show_default=True)
@click.option("--every", default=1, show_default=True, help="Of --clips, take each n-th only.")
@click.option("--show", is_flag=True, help="Print each text that the list changed.")
def main(
    *,
    bundle: Path,
    clips: Path,
    others: Path | None,
    language: tuple[str, ...],
    threads: int,
    every: int,
    show: bool,
) -> None:
    """Measure what a list of keywords gives, and what it costs."""
    recognizer = open_recognizer(open_bundle(bundle), n_threads=threads)
    spoken = read_clips(clips)
    keywords = tuple(dict.fromkeys(keyword for clip in spoken for keyword in clip.keywords))
    click.echo(f"{bundle.name}, a list of {len(keywords)} keywords")
    heard = [hear(recognizer, clip, keywords) for clip in spoken[::every]]
    show_spoken(heard, keywords)
    if others is not None:
        some = [clip for clip in read_clips(others) if not language or clip.language in language]
        elsewhere = [hear(recognizer, clip, keywords) for clip in some]
        show_others(elsewhere, keywords)
        heard += elsewhere
    if show:
        for each in heard:
            if each.without != each.given:
                click.echo(f"- {each.without}\n+ {each.given}")


if __name__ == "__main__":
    main()
