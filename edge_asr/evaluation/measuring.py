"""Systems hear clips, clip by clip in turn, so that what else the machine does falls on all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.errors import AudioFileError, EvaluationError
from edge_asr.evaluation.scoring import UNSPACED, Comparison, compare, has_keyword

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edge_asr.evaluation.clips import Clip
    from edge_asr.evaluation.scoring import Errors
    from edge_asr.evaluation.systems import Heard, System

NO_SPEECH = "none"
"""The language of clips in which nobody speaks."""


@dataclass(frozen=True, slots=True)
class Scored:
    """What one system made of one clip, and how much of it is wrong."""

    system: str
    clip: Clip
    heard: Heard
    comparison: Comparison
    n_keywords_found: int = 0

    @property
    def errors(self) -> Errors:
        """Words, or characters where :attr:`is_by_character`."""
        return self.comparison.errors

    @property
    def is_by_character(self) -> bool:
        """Whether the language is counted by character."""
        return self.clip.language in UNSPACED


def score(system: str, clip: Clip, heard: Heard) -> Scored:
    """Hold what was heard against what was said."""
    language = clip.language if clip.is_speech else heard.language or "en"
    found = sum(has_keyword(keyword, heard.text, language) for keyword in clip.keywords)
    return Scored(system, clip, heard, compare(clip.text, heard.text, language), found)


def measure(
    clips: Sequence[Clip],
    systems: Sequence[System],
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    complain: Callable[[str], None] = lambda _text: None,
) -> list[Scored]:
    """Let every system hear every clip in a language that it transcribes.

    Args:
        clips: what is heard.
        systems: who hears it.
        progress: is told how many clips are done, and of how many.
        complain: is told of clips that cannot be read, which are left out.

    Raises:
        EvaluationError: no clip could be heard.
    """
    scored: list[Scored] = []
    for n_done, clip in enumerate(clips):
        progress(n_done, len(clips))
        try:
            scored += [
                score(system.name, clip, system.hear(clip)) for system in _for(clip, systems)
            ]
        except AudioFileError as error:
            complain(str(error))
    progress(len(clips), len(clips))
    if not scored:
        raise EvaluationError("no clip could be heard: are they in languages of the bundle?")
    return scored


def _for(clip: Clip, systems: Iterable[System]) -> list[System]:
    return [each for each in systems if not clip.is_speech or clip.language in each.languages]
