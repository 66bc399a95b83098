"""When each word of a text was said, by where Whisper's decoder looked while it wrote it.

Some heads of the cross-attention follow the sound; the checkpoint names them. Their weights are
made alike (softmax over the sound, standard scores over the tokens, a median over frames), and the
monotonic path through them that gathers most is found by dynamic time warping. The recipe is that
of OpenAI's ``whisper/timing.py``; here the path is found row by row instead of cell by cell.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.records import Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_asr.recognizers.decoding import Array

AttentionScores = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""float32, shape ``(n_heads, n_tokens, n_frames)``, frames of 20 ms."""
Weights = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""float32, shape ``(n_tokens, n_frames)``."""

FRAME_S = 0.02
_MEDIAN_FRAMES = 7
_LONGEST_S = 1.4
"""No word at a pause is taken to be longer: the path spends the pause there."""
_SPACELESS = frozenset({"ja", "zh", "yue", "th", "lo", "my", "km", "bo"})
"""Languages that are written without spaces: there each token is a word."""
_BEGINS = "\"'“‘¿¡([{«-"  # noqa: RUF001
_ENDS = "\"'.。,，!！?？:：;；”’)]}»、…-%"  # noqa: RUF001
_SENTENCE_ENDS = (".", "。", "!", "！", "?", "？")  # noqa: RUF001


def word_times(
    scores: AttentionScores, pieces: Sequence[str], logprobs: Sequence[float], language: str
) -> tuple[Word, ...]:
    """Return the words of a text with their times within the sound.

    Args:
        scores: of the heads that follow the sound, while it was decided about each token and about
            the end, before the softmax; shape ``(n_heads, len(pieces) + 1, n_frames)``.
        pieces: the text of each token.
        logprobs: natural log-probability of each token.
        language: ISO 639-1.
    """
    if not pieces or not scores.shape[2]:
        return ()
    starts_s = FRAME_S * first_frames(_likeness(scores))
    words = []
    for first, end in _words(pieces, language):
        text = "".join(pieces[first:end]).strip()
        probability = round(float(np.exp(np.mean(logprobs[first:end]))), 4)
        words.append(Word(text, float(starts_s[first]), float(starts_s[end]), probability))
    return tuple(_without_pauses(words))


def _likeness(scores: AttentionScores) -> Weights:
    """Return how well each token goes with each frame."""
    weights = np.exp(scores - scores.max(axis=2, keepdims=True))
    weights /= weights.sum(axis=2, keepdims=True)
    mean, deviation = weights.mean(axis=1, keepdims=True), weights.std(axis=1, keepdims=True)
    standard = (weights - mean) / np.maximum(deviation, np.finfo(np.float32).tiny)
    likeness: Weights = _smoothed(standard).mean(axis=0)
    return likeness


def _smoothed(scores: AttentionScores) -> AttentionScores:
    """Return the running median over frames."""
    around = _MEDIAN_FRAMES // 2
    if scores.shape[2] <= around:
        return scores
    padded = np.pad(scores, ((0, 0), (0, 0), (around, around)), mode="reflect")
    windows = np.lib.stride_tricks.sliding_window_view(padded, _MEDIAN_FRAMES, axis=2)
    median: AttentionScores = np.partition(windows, around, axis=3)[..., around]
    return median


def first_frames(likeness: Weights) -> Array:
    """Return the frame at which each row begins on the monotonic path that gathers most.

    The path goes from the first cell to the last, by steps to the next frame, the next row, or both
    (dynamic time warping). Within a row it only goes on, so that the best way to a cell is the best
    frame to enter the row at, by a running minimum.
    """
    cost = -likeness.astype(np.float64)
    n_rows, n_frames = cost.shape
    frames = np.arange(n_frames)
    entered = np.empty((n_rows, n_frames), dtype=np.int64)
    from_left = np.zeros((n_rows, n_frames), dtype=bool)
    best = np.full(n_frames, np.inf)
    before = np.full(n_frames, np.inf)
    before[0] = 0.0  # the path begins in the first frame
    for row in range(n_rows):
        if row:
            diagonal = np.concatenate([[np.inf], best[:-1]])
            from_left[row] = diagonal <= best
            before = np.minimum(diagonal, best)
        sums = np.cumsum(cost[row])
        entering = before - sums + cost[row]
        lowest = np.minimum.accumulate(entering)
        is_new = np.concatenate([[True], entering[1:] < lowest[:-1]])
        entered[row] = np.maximum.accumulate(np.where(is_new, frames, 0))
        best = lowest + sums
    starts = np.empty(n_rows, dtype=np.float32)
    frame = n_frames - 1
    for row in range(n_rows - 1, -1, -1):
        first = int(entered[row, frame])
        starts[row] = first
        frame = first - int(from_left[row, first])
    return starts


def _words(pieces: Sequence[str], language: str) -> Iterator[tuple[int, int]]:
    """Yield the first token of each word and that behind its last. Together they are the text."""
    bounds = [0]
    for at in range(1, len(pieces)):
        piece, before = pieces[at], "".join(pieces[bounds[-1] : at]).strip()
        if not piece or piece.strip(_ENDS + " ") == "" or before.strip(_BEGINS) == "":
            continue
        if language in _SPACELESS or piece.startswith(" "):
            bounds.append(at)
    yield from zip(bounds, [*bounds[1:], len(pieces)], strict=True)


def _without_pauses(words: Sequence[Word]) -> Iterator[Word]:
    """Cut words that lie beside a pause to the length that words have."""
    durations = [word.end_s - word.start_s for word in words if word.end_s > word.start_s]
    longest_s = min(_LONGEST_S, 2 * float(np.median(durations))) if durations else _LONGEST_S
    for at, word in enumerate(words):
        start_s, end_s = word.start_s, word.end_s
        if end_s - start_s > longest_s:
            if word.text.endswith(_SENTENCE_ENDS) or at == len(words) - 1:
                end_s = start_s + longest_s
            elif at == 0 or words[at - 1].text.endswith(_SENTENCE_ENDS):
                start_s = end_s - longest_s
        yield Word(word.text, round(start_s, 3), round(end_s, 3), word.probability)
