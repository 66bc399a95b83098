"""Word error rates of the same clips: short windows, the published weights in full ones, peers.

Nothing is timed here, so two systems hear at a time, one thread each.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from benchmarks.whisper.bench import OURS, OURS_PUBLISHED
from benchmarks.whisper.contest import Worker
from benchmarks.whisper.sounds import save_sound
from benchmarks.whisper.tables import Measured, Ratio, Table
from edge_asr.evaluation.clips import pick_clips
from edge_asr.evaluation.scoring import UNSPACED, Errors, count_errors
from edge_asr.evaluation.systems import read_waveform
from edge_asr.recognizers.whisper import MAX_DURATION_S
from edge_asr.recognizers.whisper_attempt import FULL_WINDOW_FLAG

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.whisper.bench import Bench
    from benchmarks.whisper.protocol import Call, Reply
    from edge_asr.evaluation.clips import Clip

_AT_ONCE = 2
_WANTED_POINTS = 0.3
_SHORTEST_WORDS = 100
"""Languages with fewer words than these say nothing about tenths of a point."""


def measure_accuracy(bench: Bench, *, per_language: int) -> Measured:
    """Score ours over all clips in both windows, and everybody over a part of them."""
    heard = [clip for clip in bench.clips if clip.is_speech and clip.duration_s <= MAX_DURATION_S]
    part = pick_clips(heard, per_language)
    calls = {
        clip.clip_id: save_sound(
            bench.folder, f"said-{number}", read_waveform(clip.path), clip.language
        )
        for number, clip in enumerate(heard)
    }
    whole_table: list[list[str]] = []
    part_table: list[list[str]] = []
    ratios: list[Ratio] = []
    languages = sorted({clip.language for clip in heard}, key=lambda code: (code != "en", code))
    for name in bench.weights:
        known = {"en"} if name.endswith(".en") else set(languages)
        whole = [clip for clip in heard if clip.language in known]
        some = [clip for clip in part if clip.language in known]
        bench.tell(f"accuracy: {name}, {len(whole)} clips in both windows, {len(some)} by peers")
        ours_asked = dict.fromkeys((OURS, OURS_PUBLISHED), whole)
        asked = ours_asked | dict.fromkeys(bench.peers_of(name), some)
        replies = _hear(bench, name, asked, calls)
        ours = {each: replies[each] for each in (OURS, OURS_PUBLISHED)}
        whole_table += _rows(name, ours, whole, languages)
        part_table += _rows(name, replies, some, languages)
        ratios += _ratios(name, ours, whole, languages)
    note = (
        "Errors in 100 words (characters, in languages written without spaces), the number of "
        "words in brackets; clips of up to 30 s, each heard whole, the language given. "
    )
    ours_note = note + "Again is the share of clips that were heard again in a full window."
    heads = ["Model", "System", *languages]
    return Measured(
        [
            Table("Short windows and full ones", ours_note, [*heads, "Again"], whole_table),
            Table(
                "Errors of all systems",
                f"{note}At most {per_language} clips of a language.",
                [*heads, "Again"],
                part_table,
            ),
        ],
        ratios,
    )


def _hear(
    bench: Bench, name: str, asked: Mapping[str, Sequence[Clip]], calls: Mapping[str, Call]
) -> dict[str, dict[str, Reply]]:
    """Return what each system made of its clips, by the clips' ids."""

    def hear(system: str) -> dict[str, Reply]:
        with Worker(bench.entrant(system, name, 1)) as worker:
            worker.load()
            return {clip.clip_id: worker.transcribe(calls[clip.clip_id]) for clip in asked[system]}

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return dict(zip(asked, pool.map(hear, asked), strict=True))


def _rows(
    name: str,
    replies: Mapping[str, Mapping[str, Reply]],
    clips: Sequence[Clip],
    languages: Sequence[str],
) -> list[list[str]]:
    rows = []
    for system, found in replies.items():
        cells = []
        for language in languages:
            errors = _errors(found, clips, language)
            cells.append(f"{errors.wer:.2f} ({errors.n_words})" if errors.n_words else "-")
        again = sum(FULL_WINDOW_FLAG in found[clip.clip_id].flags for clip in clips)
        share = f"{again / len(clips):.1%}" if system == OURS else "-"
        rows.append([name, system, *cells, share])
    return rows


def _errors(found: Mapping[str, Reply], clips: Sequence[Clip], language: str) -> Errors:
    return sum(
        (
            count_errors(clip.text, found[clip.clip_id].text, language)
            for clip in clips
            if clip.language == language
        ),
        Errors(),
    )


def _ratios(
    name: str,
    replies: Mapping[str, Mapping[str, Reply]],
    clips: Sequence[Clip],
    languages: Sequence[str],
) -> list[Ratio]:
    ratios = []
    for language in languages:
        short, full = (_errors(replies[each], clips, language) for each in (OURS, OURS_PUBLISHED))
        if short.n_words < _SHORTEST_WORDS:
            continue
        kind = "characters" if language in UNSPACED else "words"
        ratios.append(
            Ratio(
                f"{name}, errors in 100 {kind}, {language}, short windows",
                OURS_PUBLISHED,
                f"{short.wer:.2f}",
                f"{full.wer:.2f}",
                short.wer - full.wer,
                _WANTED_POINTS,
                unit=" points",
                is_limit=True,
            )
        )
    return ratios
