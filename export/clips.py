"""Speech with its text, for the quality gate: what a model can be held to, errors as the gate's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.errors import AudioFileError, EvaluationError
from edge_asr.evaluation import clips as evaluation_clips
from edge_asr.evaluation import systems
from edge_asr.evaluation.clips import MANIFEST, Clip, pick_clips
from export.errors import SampleError

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from edge_asr.records import Waveform

__all__ = ["MANIFEST", "Clip", "pick_clips", "read_clips", "read_waveform"]

SHORTEST_S, LONGEST_S = 1.0, 28.0
"""Whisper takes 30 s at once; what is near that may be cut by one side and not by the other."""


def read_clips(folder: Path, languages: Collection[str]) -> list[Clip]:
    """Read the clips of a folder that a recognizer of ``languages`` can be held to.

    Raises:
        SampleError: the folder has no manifest, or one that cannot be read.
    """
    try:
        listed = evaluation_clips.read_clips(folder / MANIFEST)
    except (EvaluationError, AudioFileError) as error:
        raise SampleError(f"{error}; --speech takes a folder with a {MANIFEST}") from error
    return [
        clip
        for clip in listed
        if clip.language in languages
        and clip.is_speech
        and SHORTEST_S <= clip.duration_s <= LONGEST_S
    ]


def read_waveform(path: Path) -> Waveform:
    """Return the sound of any file that can be read, in the one inner form.

    Raises:
        SampleError: it cannot be read.
    """
    try:
        return systems.read_waveform(path)
    except AudioFileError as error:
        raise SampleError(str(error)) from error
