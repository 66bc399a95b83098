"""The same speech as other people would say it and other rooms would give it.

Little speech teaches an adapter little. It needs no transcripts, though: whatever the teacher hears
is a lesson. So pieces are also given faster or slower, softer, through a telephone, in noise, and
one after another (Ko et al., 2015, "Audio augmentation for speech recognition", is the usual source
for the speeds).
"""

from __future__ import annotations

import random
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.records import SAMPLE_RATE
from export.whisper_pieces import LONGEST_S, Piece

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_asr.records import Waveform

_SPEEDS = (0.9, 1.1)
_SOFTEST_DB = -18.0
_NOISE_DB = (5.0, 30.0)
"""How far the noise lies below the speech."""
_NOISY = 0.5
_TELEPHONE = 0.15
_TELEPHONE_HZ = (300.0, 3_400.0)
_JOINED = 0.35
_PAUSE_S = (0.2, 1.0)


def varied(pieces: Sequence[Piece], *, seed: int) -> Iterator[Piece]:
    """Yield varied pieces without end.

    A language is drawn with the root of how many pieces it has: those with few come up more often
    than they would, but their few pieces are not all there is.

    Args:
        pieces: what is varied.
        seed: of the choices.
    """
    chance = random.Random(seed)  # noqa: S311 (not for secrets)
    noises = np.random.default_rng(seed)
    by_language = defaultdict(list)
    for piece in pieces:
        by_language[piece.language].append(piece)
    languages = list(by_language)
    weights = [len(by_language[language]) ** 0.5 for language in languages]
    while languages:
        (language,) = chance.choices(languages, weights)
        waveform = _spoken(chance.choice(by_language[language]).waveform, chance)
        if chance.random() < _JOINED:
            other = _spoken(chance.choice(by_language[language]).waveform, chance)
            pause = np.zeros(int(chance.uniform(*_PAUSE_S) * SAMPLE_RATE), np.float32)
            joined = np.concatenate([waveform, pause, other])
            waveform = joined if len(joined) <= LONGEST_S * SAMPLE_RATE else waveform
        yield Piece(_heard(waveform, chance, noises), language)


def _spoken(waveform: Waveform, chance: random.Random) -> Waveform:
    """Return it at another speed, and so at another pitch."""
    n = int(len(waveform) / chance.uniform(*_SPEEDS))
    at = np.linspace(0, len(waveform) - 1, n)
    return np.interp(at, np.arange(len(waveform)), waveform).astype(np.float32)


def _heard(waveform: Waveform, chance: random.Random, noises: np.random.Generator) -> Waveform:
    if chance.random() < _TELEPHONE:
        waveform = _telephoned(waveform)
    if chance.random() < _NOISY:
        level = float(np.sqrt(np.square(waveform).mean())) * 10 ** (
            -chance.uniform(*_NOISE_DB) / 20
        )
        noise = noises.standard_normal(len(waveform) + 1)
        # Between white and brown, as rooms and machines are.
        colored = noise[1:] + chance.uniform(0.0, 1.0) * noise[:-1]
        waveform = waveform + level * colored.astype(np.float32)
    gain = 10 ** (chance.uniform(_SOFTEST_DB, 0.0) / 20)
    louder: Waveform = np.clip(gain * waveform, -1.0, 1.0).astype(np.float32)
    return louder


def _telephoned(waveform: Waveform) -> Waveform:
    spectrum = np.fft.rfft(waveform)
    hz = np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)
    spectrum[(hz < _TELEPHONE_HZ[0]) | (hz > _TELEPHONE_HZ[1])] = 0
    return np.fft.irfft(spectrum, len(waveform)).astype(np.float32)
