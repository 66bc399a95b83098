"""Sound longer than a model hears at once: cut at pauses, recognized in pieces, joined."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.records import SAMPLE_RATE, Recognition

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_asr.records import Waveform

PAUSE_S = 0.3
"""The quietest stretch of this length is where the sound is cut, in its middle."""
SEARCHED_SHARE = 0.25
"""Of the longest piece: its last quarter is where a pause is looked for."""
NEAR_SHARE = 0.3
"""Of an even piece: how far from its end a pause is looked for."""


def in_pieces(
    waveform: Waveform, max_s: float, recognize: Callable[[Waveform], Recognition]
) -> Recognition:
    """Recognize sound of any length with what hears at most ``max_s`` seconds at once."""
    starts = cuts(waveform, int(max_s * SAMPLE_RATE))
    return joined([recognize(sound) for sound in np.split(waveform, starts[1:])], starts)


def all_in_pieces(
    waveforms: Sequence[Waveform],
    whole_s: float,
    usual_s: float,
    recognize_all: Callable[[Sequence[Waveform]], Sequence[Recognition]],
) -> list[Recognition]:
    """Recognize sounds of any length with what hears several at once.

    Args:
        waveforms: the sounds.
        whole_s: what is longer is cut.
        usual_s: pieces are about as long as this, or shorter.
        recognize_all: returns what was said in each of several sounds.
    """
    starts_of = [
        even_cuts(waveform, int(usual_s * SAMPLE_RATE))
        if len(waveform) > whole_s * SAMPLE_RATE
        else [0]
        for waveform in waveforms
    ]
    sounds = [
        sound
        for waveform, starts in zip(waveforms, starts_of, strict=True)
        for sound in np.split(waveform, starts[1:])
    ]
    pieces = iter(recognize_all(sounds))
    return [joined([next(pieces) for _ in starts], starts) for starts in starts_of]


def even_cuts(waveform: Waveform, usual_samples: int) -> list[int]:
    """Return where each piece begins: the quietest moments near where even pieces would.

    No piece is longer than ``usual_samples`` by more than six tenths.
    """
    n_pieces = max(1, -(-len(waveform) // usual_samples))
    even = len(waveform) / n_pieces
    starts = [0]
    for number in range(1, n_pieces):
        first = round((number - NEAR_SHARE) * even)
        searched = waveform[first : round((number + NEAR_SHARE) * even)]
        starts.append(first + _quietest(searched))
    return starts


def cuts(waveform: Waveform, max_samples: int) -> list[int]:
    """Return where each piece begins: the quietest moment before the last becomes too long."""
    starts = [0]
    while len(waveform) - starts[-1] > max_samples:
        end = starts[-1] + max_samples
        searched = waveform[end - max(1, int(SEARCHED_SHARE * max_samples)) : end]
        starts.append(end - len(searched) + _quietest(searched))
    return starts


def cut_within(waveform: Waveform, start_s: float, end_s: float) -> int:
    """Return the quietest moment between two others, as a sample."""
    first = int(start_s * SAMPLE_RATE)
    return first + _quietest(waveform[first : max(first + 1, int(end_s * SAMPLE_RATE))])


def _quietest(waveform: Waveform) -> int:
    """Return the middle of the quietest stretch, the last one of several."""
    width = min(len(waveform), int(PAUSE_S * SAMPLE_RATE))
    energy = np.cumsum(np.insert(np.square(waveform, dtype=np.float64), 0, 0.0))
    within = energy[width:] - energy[:-width]
    return len(within) - 1 - int(within[::-1].argmin()) + max(1, width // 2)


def joined(pieces: Sequence[Recognition], starts: Sequence[int]) -> Recognition:
    """Return one recognition of pieces that begin at these samples.

    The mean log-probability is that of the pieces, weighted by the length of their texts; the
    entropy is the highest; the language is that of most of the text, as sure as where it was least.
    """
    if len(pieces) == 1:
        return pieces[0]
    n_letters: Counter[str] = Counter()
    for piece in pieces:
        n_letters[piece.language] += len(piece.text)
    language = n_letters.most_common(1)[0][0]
    probabilities = [
        piece.language_probability
        for piece in pieces
        if piece.language == language and piece.language_probability is not None
    ]
    sure = [
        (piece.avg_logprob, len(piece.text)) for piece in pieces if piece.avg_logprob is not None
    ]
    entropies = [piece.ctc_max_entropy for piece in pieces if piece.ctc_max_entropy is not None]
    spoken = [piece for piece in pieces if piece.text]
    flags = dict.fromkeys(flag for piece in spoken or pieces for flag in piece.flags)
    return Recognition(
        text=" ".join(piece.text for piece in spoken),
        language=language,
        language_probability=min(probabilities, default=None),
        task=pieces[0].task,
        decode_s=sum(piece.decode_s for piece in pieces),
        avg_logprob=_mean(sure),
        flags=tuple(flags),
        words=tuple(
            word.shifted(start / SAMPLE_RATE)
            for piece, start in zip(pieces, starts, strict=True)
            for word in piece.words
        ),
        ctc_max_entropy=max(entropies, default=None),
    )


def _mean(weighted: Sequence[tuple[float, int]]) -> float | None:
    total = sum(max(1, weight) for _, weight in weighted)
    return sum(value * max(1, weight) for value, weight in weighted) / total if weighted else None
