"""What the scores of a system come to: by language, by tag, on non-speech, in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.evaluation.calibration import calibration, word_calibration
from edge_asr.evaluation.intervals import difference, error_rate
from edge_asr.evaluation.scoring import Errors
from edge_asr.formats import real_time_factor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edge_asr.evaluation.calibration import Calibration
    from edge_asr.evaluation.intervals import Interval
    from edge_asr.evaluation.measuring import Scored

ALL = "all words"
"""The group of all speech that is counted by word."""
_SECONDS_PER_MINUTE = 60.0


@dataclass(frozen=True, slots=True)
class Share:
    """How many of how many."""

    n: int
    of: int

    @property
    def percent(self) -> float:
        """In percent; 0 of 0 is 0."""
        return 100.0 * self.n / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Row:
    """One system on one group of clips."""

    group: str
    n_clips: int
    errors: Errors
    rate: Interval
    """Word error rate, percent; character error rate where ``is_by_character``."""
    is_by_character: bool = False
    detected: Share | None = None
    """Clips of this language that were taken for it; all, where it was named."""


@dataclass(frozen=True, slots=True)
class Invented:
    """Words written where nobody speaks."""

    n_clips: int
    duration_s: float
    n_words: int
    n_unmarked: int
    """Of these, words of texts that the system did not mark as doubtful."""
    n_clips_with: int

    @property
    def per_minute(self) -> float:
        """Invented words per minute of non-speech."""
        minutes = self.duration_s / _SECONDS_PER_MINUTE
        return self.n_words / minutes if minutes else 0.0


@dataclass(frozen=True, slots=True)
class Speed:
    """How long recognition took, on this machine."""

    rtf: float
    """Decode time / duration of the clips, over all of them."""
    latency_p50_s: float
    latency_p95_s: float


@dataclass(frozen=True, slots=True)
class Summary:
    """One system over all that it heard."""

    system: str
    total: Row | None
    """All that is counted by word; None where there was nothing of that."""
    languages: tuple[Row, ...]
    tags: tuple[Row, ...]
    invented: Invented
    keywords: Share
    detected: Share
    """Clips of speech whose language is that of the text; all, where it was named."""
    marked: Share
    """Clips of speech with an error that the system marked, of those with one."""
    speed: Speed
    calibration: Calibration | None
    """Of texts."""
    word_calibration: Calibration | None
    above_first: Interval | None = None
    """Points of WER above the first system's, on the clips that both heard."""


def summarize(scored: Sequence[Scored]) -> list[Summary]:
    """Return a summary of each system, in the order in which they first appear."""
    names = list(dict.fromkeys(each.system for each in scored))
    by_system = {name: [each for each in scored if each.system == name] for name in names}
    first = by_system[names[0]]
    return [_summary(name, by_system[name], first) for name in names]


def _summary(name: str, scored: list[Scored], first: list[Scored]) -> Summary:
    speech = [each for each in scored if each.clip.is_speech]
    by_word = [each for each in speech if not each.is_by_character]
    wrong = [each for each in speech if each.errors.n_errors]
    return Summary(
        system=name,
        total=_row(ALL, by_word) if by_word else None,
        languages=_rows(speech, lambda each: [each.clip.language]),
        tags=_rows(by_word, lambda each: each.clip.tags),
        invented=_invented([each for each in scored if not each.clip.is_speech]),
        keywords=Share(
            sum(each.n_keywords_found for each in speech),
            sum(len(each.clip.keywords) for each in speech),
        ),
        detected=Share(
            sum(each.heard.language == each.clip.language for each in speech), len(speech)
        ),
        marked=Share(sum(bool(each.heard.flags) for each in wrong), len(wrong)),
        speed=_speed(scored),
        calibration=calibration(by_word),
        word_calibration=word_calibration(by_word),
        above_first=None if scored is first else _above(by_word, first),
    )


def _rows(
    scored: Iterable[Scored], groups_of: Callable[[Scored], Iterable[str]]
) -> tuple[Row, ...]:
    groups: dict[str, list[Scored]] = {}
    for each in scored:
        for group in groups_of(each):
            groups.setdefault(group, []).append(each)
    by_size = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return tuple(_row(group, members) for group, members in by_size)


def _row(group: str, members: Sequence[Scored]) -> Row:
    errors = [each.errors for each in members]
    total = sum(errors, start=Errors())
    detected = Share(sum(each.heard.language == group for each in members), len(members))
    return Row(
        group,
        len(members),
        total,
        error_rate(errors),
        members[0].is_by_character,
        detected if all(each.clip.language == group for each in members) else None,
    )


def _invented(scored: Sequence[Scored]) -> Invented:
    return Invented(
        n_clips=len(scored),
        duration_s=sum(each.clip.duration_s for each in scored),
        n_words=sum(each.errors.insertions for each in scored),
        n_unmarked=sum(each.errors.insertions for each in scored if not each.heard.flags),
        n_clips_with=sum(each.errors.insertions > 0 for each in scored),
    )


def _speed(scored: Sequence[Scored]) -> Speed:
    latencies = [latency for each in scored for latency in each.heard.latencies_s] or [0.0]
    median, high = np.percentile(latencies, (50, 95))
    decode_s = sum(each.heard.decode_s for each in scored)
    audio_s = sum(each.clip.duration_s for each in scored)
    return Speed(real_time_factor(decode_s, audio_s), float(median), float(high))


def _above(scored: Sequence[Scored], first: Sequence[Scored]) -> Interval | None:
    before = {each.clip.path: each.errors for each in first}
    pairs = [(each.errors, before[each.clip.path]) for each in scored if each.clip.path in before]
    if not pairs:
        return None
    ours, theirs = zip(*pairs, strict=True)
    return difference(ours, theirs)
