"""How good translations are: BLEU and chrF against a person's. The one door to sacrebleu.

Both are sacrebleu's with its defaults (BLEU of Papineni et al., 2002, with the 13a tokenizer; chrF2
of Popović, 2015), over all clips of a language together. Figures of few clips move by many points,
and one reference does not know every good translation.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from edge_asr.errors import AudioFileError, EvaluationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from edge_asr.evaluation.clips import Clip
    from edge_asr.evaluation.systems import System

ALL = "all"


@dataclass(frozen=True, slots=True)
class Translated:
    """What one system made of one clip, and a person's translation."""

    system: str
    clip_id: str
    language: str
    """What is spoken (ISO 639-1)."""
    reference: str
    text: str
    flags: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Quality:
    """One system on the clips of one language, or of all."""

    system: str
    language: str
    n_clips: int
    bleu: float
    """0 to 100."""
    chrf: float
    """0 to 100."""


def with_reference(clips: Iterable[Clip], target: str) -> list[Clip]:
    """Return the clips in another language of which there is a translation, which is their text.

    Raises:
        EvaluationError: there are none.
    """
    found = [
        replace(clip, text=clip.translations[target])
        for clip in clips
        if clip.is_speech and clip.language != target and clip.translations.get(target)
    ]
    if not found:
        raise EvaluationError(
            f"no clip has a translation into '{target}': give one as translations: "
            f'{{"{target}": ...}} in the manifest',
        )
    return found


def translate(
    clips: Sequence[Clip],
    systems: Sequence[System],
    *,
    progress: Callable[[int, int], None],
    complain: Callable[[str], None],
) -> list[Translated]:
    """Let every system translate every clip in a language that it knows.

    Args:
        clips: what :func:`with_reference` returned.
        systems: who translates; they were asked for that.
        progress: is told how many clips are done, and of how many.
        complain: is told of clips that cannot be read, which are left out.

    Raises:
        EvaluationError: no clip could be heard.
    """
    done: list[Translated] = []
    for n_done, clip in enumerate(clips):
        progress(n_done, len(clips))
        for system in systems:
            if clip.language not in system.languages:
                continue
            try:
                heard = system.hear(clip)
            except AudioFileError as error:
                complain(str(error))
                continue
            named = (system.name, clip.clip_id, clip.language, clip.text)
            done.append(Translated(*named, heard.text, heard.flags))
    progress(len(clips), len(clips))
    if not done:
        raise EvaluationError("no clip could be heard: are they in languages of the bundle?")
    return done


def qualities(done: Sequence[Translated]) -> list[Quality]:
    """Return the quality of each system, over all clips and by language.

    Raises:
        EvaluationError: sacrebleu is not installed.
    """
    found = []
    for system in dict.fromkeys(each.system for each in done):
        of_system = [each for each in done if each.system == system]
        languages = dict.fromkeys(each.language for each in of_system)
        found.append(_quality(system, ALL, of_system))
        for language in languages:
            group = [each for each in of_system if each.language == language]
            found.append(_quality(system, language, group))
    return found


def _quality(system: str, language: str, group: Sequence[Translated]) -> Quality:
    try:
        import sacrebleu  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise EvaluationError(
            f"{error.name} is not installed; translations are compared with the extra 'evaluate': "
            "pip install 'edge-asr[evaluate]'"
        ) from error
    texts, references = [each.text for each in group], [[each.reference for each in group]]
    bleu = float(sacrebleu.corpus_bleu(texts, references).score)
    chrf = float(sacrebleu.corpus_chrf(texts, references).score)
    return Quality(system, language, len(group), round(bleu, 2), round(chrf, 2))


def as_fields(found: Sequence[Quality], done: Sequence[Translated]) -> dict[str, Any]:
    """Return everything as JSON has it."""
    return {"systems": [asdict(each) for each in found], "clips": [asdict(each) for each in done]}
