"""Speech with its text, for the quality gate. Which clips it hears is decided here, repeatably."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edge_asr.audio import open_sound_file
from edge_asr.capture.resampling import Resampler, mono
from edge_asr.errors import AudioFileError
from export.errors import SampleError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from pathlib import Path

    from edge_asr.records import Waveform

MANIFEST = "manifest.jsonl"
SHORTEST_S, LONGEST_S = 1.0, 28.0
"""Whisper takes 30 s at once; what is near that may be cut by one side and not by the other."""


class _Line(msgspec.Struct, frozen=True):
    """One line of a ``manifest.jsonl``; other fields are ignored."""

    path: str
    language: str
    text: str
    duration_s: float
    id: str = ""


@dataclass(frozen=True, slots=True)
class Clip:
    """One sound file and what is said in it."""

    path: Path
    corpus: str
    """Where it comes from: the first part of its id."""
    language: str
    text: str
    duration_s: float


def read_clips(folder: Path, languages: Collection[str]) -> list[Clip]:
    """Read the clips of a folder that a recognizer of ``languages`` can be held to.

    Raises:
        SampleError: the folder has no manifest, or one that cannot be read.
    """
    manifest = folder / MANIFEST
    try:
        lines = manifest.read_bytes().splitlines()
        listed = [msgspec.json.decode(line, type=_Line) for line in lines if line.strip()]
    except OSError as error:
        raise SampleError(
            f"{manifest}: {error.strerror}; --speech takes a folder with one"
        ) from error
    except msgspec.MsgspecError as error:
        raise SampleError(f"{manifest}: {error}") from error
    return [
        Clip(
            folder / line.path, line.id.partition("/")[0], line.language, line.text, line.duration_s
        )
        for line in listed
        if line.language in languages
        and line.text.strip()
        and SHORTEST_S <= line.duration_s <= LONGEST_S
    ]


def pick_clips(clips: Iterable[Clip], per_language: int) -> list[Clip]:
    """Pick up to ``per_language`` clips of each language, from as many corpora as there are.

    The order within a corpus is that of a hash of the file's name: it looks random and never
    changes.
    """
    groups: dict[str, dict[str, list[Clip]]] = {}
    for clip in sorted(clips, key=_shuffled):
        groups.setdefault(clip.language, {}).setdefault(clip.corpus, []).append(clip)
    picked: list[Clip] = []
    for _, corpora in sorted(groups.items()):
        rounds = zip_longest(*(corpora[name] for name in sorted(corpora)))
        turns = (clip for clip in chain.from_iterable(rounds) if clip is not None)
        picked += [clip for clip, _ in zip(turns, range(per_language), strict=False)]
    return picked


def _shuffled(clip: Clip) -> str:
    return hashlib.sha256(clip.path.name.encode()).hexdigest()


def read_waveform(path: Path) -> Waveform:
    """Return the sound of any file that can be read, in the one inner form.

    Raises:
        SampleError: it cannot be read.
    """
    try:
        with open_sound_file(path, block_s=60.0) as file:
            resampler = Resampler(file.sample_rate)
            pieces = [resampler.push(mono(frames)) for frames in file.blocks]
    except AudioFileError as error:
        raise SampleError(str(error)) from error
    return np.concatenate([*pieces, resampler.flush()])
