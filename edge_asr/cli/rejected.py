"""``log rejected``: what was nearly taken for speech, and thrown away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from edge_asr.audio import open_sound_file, read_flac
from edge_asr.cli.records_option import print_jsonl, records_option
from edge_asr.cli.when import when
from edge_asr.errors import AudioFileError
from edge_asr.formats import one_line, rfc3339
from edge_asr.store.rejected import Rejected, rejected_sounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from edge_asr.cli.context import Context


@dataclass(frozen=True, slots=True)
class _Found:
    """One stretch, how long it is, and what a recognizer makes of it."""

    sound: Rejected
    duration_s: float
    text: str | None = None


@click.command()
@click.option("--source", metavar="NAME", help="Only from this microphone or file.")
@click.option("--since", type=when, metavar="WHEN", help="Only from then on: 2h, 3d, 2026-11-24.")
@click.option("--list", "wants_list", is_flag=True, help="Print every stretch, and its file.")
@click.option("--transcribe", is_flag=True, help="Print every stretch and its text. It takes time.")
@records_option
@click.pass_obj
def rejected(
    context: Context,
    source: str | None,
    since: int | None,
    wants_list: bool,  # noqa: FBT001
    transcribe: bool,  # noqa: FBT001
    output: str,
) -> None:
    """Say what was nearly taken for speech, and is no utterance.

    It was too short (vad.min_speech_duration_ms), or the model was never sure enough
    (vad.threshold). Such sound is kept for vad.keep_rejected_h hours. If --transcribe finds words
    in it, the gate is too strict for this place.

    \b
    Examples:
      edge-asr log rejected                        how much, for each microphone
      edge-asr log rejected --transcribe --since 2h
    """
    chosen = [
        sound
        for sound in rejected_sounds(context.state_dir)
        if source in {None, sound.source} and (since is None or sound.start_utc_ns >= since)
    ]
    found = _heard(context, chosen) if transcribe else _measured(chosen)
    if output == "jsonl":
        print_jsonl(map(_fields, found))
    elif wants_list or transcribe:
        for each in found:
            click.echo(_line(each))
    else:
        for line in _summary(list(found)):
            click.echo(line)


def _measured(sounds: Iterable[Rejected]) -> Iterator[_Found]:
    for sound in sounds:
        try:
            with open_sound_file(sound.path, block_s=1.0) as file:
                yield _Found(sound, file.duration_s)
        except AudioFileError:  # it went meanwhile
            continue


def _heard(context: Context, sounds: Iterable[Rejected]) -> Iterator[_Found]:
    """Yield what the configured recognizer makes of each."""
    recognizer = context.open_recognizer()
    request = context.config.recognition.request
    recognizer.check(request)
    for each in _measured(sounds):
        text = recognizer.transcribe(read_flac(each.sound.path), request).text
        yield _Found(each.sound, each.duration_s, text)


def _summary(found: list[_Found]) -> Iterator[str]:
    if not found:
        yield "Nothing was nearly taken for speech, or nothing of it is kept any more."
        return
    groups: dict[tuple[str, str], list[_Found]] = {}
    for each in found:
        groups.setdefault((each.sound.source, each.sound.because), []).append(each)
    for (source, because), members in sorted(groups.items()):
        total_s = sum(each.duration_s for each in members)
        surest = max(each.sound.peak for each in members)
        yield (
            f"{one_line(source)}\t{because}\t{len(members)} stretches, {total_s:.1f} s\t"
            f"speech probability up to {surest:.2f}\t"
            f"since {rfc3339(members[0].sound.start_utc_ns)}"
        )


def _line(each: _Found) -> str:
    sound = each.sound
    last = str(sound.path) if each.text is None else one_line(each.text) or "(no words)"
    cells = (rfc3339(sound.start_utc_ns), one_line(sound.source), sound.because.value)
    return "\t".join((*cells, f"{each.duration_s:.2f} s", f"{sound.peak:.2f}", last))


def _fields(each: _Found) -> dict[str, Any]:
    sound = each.sound
    return {
        "source": sound.source,
        "start_utc": rfc3339(sound.start_utc_ns),
        "duration_s": round(each.duration_s, 3),
        "peak_probability": sound.peak,
        "because": sound.because.value,
        "file": str(sound.path),
    } | ({} if each.text is None else {"text": each.text})
