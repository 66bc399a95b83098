"""The Granite benchmark's figures as Markdown."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.granite_job import SHARES_RIGHT, VERIFIED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.granite_job import Answer, ClipTimes, DraftTime
    from benchmarks.memory import Memory

_GB = 1e9
_SHOWN_SHARE = 0.9
"""The draft whose end-to-end time stands beside plain greedy search's."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One system, in one or more rounds."""

    name: str
    size: int
    """Bytes on disk."""
    answers: list[Answer]
    peaks: list[Memory]


def write_tables(systems: Sequence[Measured], baseline: str) -> str:
    """Return all tables.

    Args:
        systems: what was measured; all of them on the same clips.
        baseline: the name of the system that others are compared with, if it was measured.
    """
    parts = [_clip_table(systems, baseline), _memory_table(systems)]
    ours = [system for system in systems if system.answers[0].clips[0].drafts]
    if ours:
        parts += [_verify_table(ours), _draft_table(ours)]
    return "\n\n".join(parts)


def _clip_table(systems: Sequence[Measured], baseline: str) -> str:
    base = next((system for system in systems if system.name == baseline), None)
    rows = []
    for index, clip in enumerate(systems[0].answers[0].clips):
        base_s = None if base is None else _middle(base, index, lambda times: times.total_s)
        sound = f"{clip.duration_s:g} s, {clip.n_tokens} tokens"
        for system in systems:
            parts = [_middle(system, index, of) for of in (_encoder_s, _prefill_s, _decode_s)]
            rows.append([sound, system.name, *_times(parts, clip, base_s)])
            if system.answers[0].clips[index].drafts:
                place = SHARES_RIGHT.index(_SHOWN_SHARE)
                parts[2] = median(
                    answer.clips[index].drafts[place].decode_s for answer in system.answers
                )
                name = f"{system.name}, {_SHOWN_SHARE:.0%} of the draft right"
                rows.append([sound, name, *_times(parts, clip, base_s)])
    heads = ["Sound", "System", "Encoder", "Prefill", "Token", "End to end", "RTF", "Faster"]
    return _table(heads, rows)


def _times(parts: Sequence[float], clip: ClipTimes, base_s: float | None) -> list[str]:
    """Return the cells of one system's times: encoder, prefill and decoding, in seconds."""
    total_s = sum(parts)
    return [
        *(f"{each:.2f} s" for each in parts[:2]),
        f"{parts[2] / max(1, clip.n_tokens - 1) * 1000:.0f} ms",
        f"{total_s:.2f} s",
        f"{total_s / clip.duration_s:.2f}",
        "-" if base_s is None else f"{base_s / total_s:.1f}x",
    ]


def _encoder_s(times: ClipTimes) -> float:
    return times.encoder_s


def _prefill_s(times: ClipTimes) -> float:
    return times.prefill_s


def _decode_s(times: ClipTimes) -> float:
    return times.decode_s


def _memory_table(systems: Sequence[Measured]) -> str:
    heads = ["System", "Files", "Loading", "Peak resident", "of it anonymous", "Steady resident"]
    heads += ["anonymous", "file-backed"]
    rows = []
    for system in systems:
        peak = [max(each.resident for each in system.peaks)]
        peak.append(max(each.anonymous for each in system.peaks))
        steady = max((answer.steady for answer in system.answers), key=lambda each: each.resident)
        held = [steady.resident, steady.anonymous, steady.file_backed]
        load_s = median(answer.load_s for answer in system.answers)
        shown = [f"{each / _GB:.2f} GB" for each in peak]
        shown += [f"{each / _GB:.2f} GB" if steady.resident else "-" for each in held]
        rows.append([system.name, f"{system.size / _GB:.2f} GB", f"{load_s:.1f} s", *shown])
    return _table(heads, rows)


def _verify_table(systems: Sequence[Measured]) -> str:
    heads = ["Sound", "System", "1 token", *(f"{n} tokens at once" for n in VERIFIED)]
    rows = []
    for index, clip in enumerate(systems[0].answers[0].clips):
        for system in systems:
            times = [_middle(system, index, lambda times: times.token_s)]
            times += [_verified(system, index, place) for place in range(len(VERIFIED))]
            rows.append(
                [
                    f"{clip.duration_s:g} s",
                    system.name,
                    *(f"{each * 1000:.0f} ms" for each in times),
                ]
            )
    return _table(heads, rows)


def _draft_table(systems: Sequence[Measured]) -> str:
    heads = ["Sound", "System", "Greedy"]
    heads += [f"{share:.0%} of the draft right" for share in SHARES_RIGHT]
    rows = []
    for index, clip in enumerate(systems[0].answers[0].clips):
        for system in systems:
            greedy_s = _middle(system, index, lambda times: times.decode_s)
            drafts = [
                _draft([answer.clips[index].drafts[place] for answer in system.answers], greedy_s)
                for place in range(len(SHARES_RIGHT))
            ]
            rows.append([f"{clip.duration_s:g} s", system.name, f"{greedy_s:.2f} s", *drafts])
    return _table(heads, rows)


def _draft(rounds: Sequence[DraftTime], greedy_s: float) -> str:
    took_s = median(each.decode_s for each in rounds)
    differs = "" if all(each.is_identical for each in rounds) else ", other tokens"
    return f"{took_s:.2f} s ({greedy_s / took_s:.1f}x{differs})"


def _middle(system: Measured, index: int, of: Callable[[ClipTimes], float]) -> float:
    return median(of(answer.clips[index]) for answer in system.answers)


def _verified(system: Measured, index: int, place: int) -> float:
    return median(answer.clips[index].verify_s[place] for answer in system.answers)


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
