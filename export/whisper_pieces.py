"""Unlabelled speech, cut into pieces as long as utterances are: what an adapter is trained on."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edge_asr.records import SAMPLE_RATE
from export.clips import MANIFEST, read_waveform
from export.errors import SampleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from edge_asr.records import Waveform

SHORTEST_S, LONGEST_S = 0.6, 15.0
"""Other lengths are no utterances: edge-asr cuts at pauses, after 15 s at the latest."""
_CUT_FROM_S, _CUT_TO_S = 3.0, 12.0
"""A long recording is cut at its quietest moment within a stretch that begins here."""
_LOUDNESS_S = 0.03
_SOUND_FILES = (".wav", ".flac", ".ogg", ".mp3")


class _Line(msgspec.Struct, frozen=True):
    """What matters of a manifest's line."""

    path: str
    language: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Recording:
    """A sound file, and the language spoken in it where that is known."""

    path: Path
    language: str | None
    text: str = ""
    """What is said in it, where that is known."""


@dataclass(frozen=True, slots=True)
class Piece:
    """As much as is said between two pauses."""

    waveform: Waveform
    language: str | None
    text: str = ""
    """What is said, where the piece is a whole recording and that is known."""


def find_recordings(folder: Path) -> list[Recording]:
    """Return the recordings of a folder: those of its ``manifest.jsonl``, else all sound files.

    Raises:
        SampleError: there are none, or the manifest cannot be read.
    """
    manifest = folder / MANIFEST
    if manifest.is_file():
        try:
            lines = [
                msgspec.json.decode(line, type=_Line)
                for line in manifest.read_bytes().splitlines()
                if line.strip()
            ]
        except msgspec.MsgspecError as error:
            raise SampleError(f"{manifest}: {error}") from error
        found = [Recording(folder / line.path, line.language or None, line.text) for line in lines]
        found = [each for each in found if each.language != "none"]
    else:
        paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SOUND_FILES)
        found = [Recording(path, None) for path in paths]
    if not found:
        raise SampleError(f"{folder}: no recordings there")
    return found


def cut_pieces(recordings: Sequence[Recording], *, seed: int) -> Iterator[Piece]:
    """Yield the pieces of recordings, in order.

    Of each recording that is whole in one piece, a shorter beginning is given too: utterances are
    often short, and so they are heard with little behind them.

    Raises:
        SampleError: a recording cannot be read.
    """
    chance = random.Random(seed)  # noqa: S311 (not for secrets)
    for recording in recordings:
        waveform = read_waveform(recording.path)
        rest = waveform
        while len(rest) > LONGEST_S * SAMPLE_RATE:
            cut = _quietest(rest, chance.uniform(_CUT_FROM_S, _CUT_TO_S))
            yield Piece(rest[:cut], recording.language)
            rest = rest[cut:]
        if len(rest) >= SHORTEST_S * SAMPLE_RATE:
            text = recording.text if rest is waveform else ""
            yield Piece(rest, recording.language, text)
        if rest is waveform and len(rest) > 2 * _CUT_FROM_S * SAMPLE_RATE:
            at_s = chance.uniform(1.0, len(rest) / SAMPLE_RATE - 1.5)
            yield Piece(rest[: _quietest(rest, at_s)], recording.language)


def _quietest(waveform: Waveform, from_s: float) -> int:
    """Return the quietest place within a second and a half behind ``from_s``, in samples."""
    step = int(_LOUDNESS_S * SAMPLE_RATE)
    first = int(from_s * SAMPLE_RATE)
    stretch = waveform[first : first + int(1.5 * SAMPLE_RATE)]
    frames = stretch[: len(stretch) // step * step].reshape(-1, step)
    return first + int(np.square(frames).mean(axis=1).argmin()) * step + step // 2
