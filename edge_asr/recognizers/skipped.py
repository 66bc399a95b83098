"""Sound that is as loud as the speech around it, and has no words: a sentence was skipped.

Whisper now and then leaves out a sentence, mostly after a pause, and is sure of all that it did
write. Its word times show it: between two words, or before the end, are seconds in which somebody
goes on speaking.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.records import Waveform, Word

SKIPPED_FLAG = "skipped"
"""Somebody speaks, it seems, where the text has nothing."""
PARTS_FLAG = "heard_in_parts"
"""Not a doubt: something had been skipped, and is there since the sound was cut at that place."""
MIN_GAP_S = 2.0
"""A shorter stretch without words is a pause, or a word whose time is a little off."""
MIN_LOUD_S = 1.2
"""So much of the stretch has to be as loud as speech."""
MIN_RANGE_DB = 10.0
"""Speech is now loud, now quiet: steady noise, which may be as loud as the words, is not."""
_FRAME_S = 0.03
_BELOW_SPEECH_DB = 15.0
"""Sound that is quieter than the louder parts of the words by more than this is not speech."""
_QUIETEST_SPEECH_DB = -70.0
"""Below full scale. Words that are heard in what is quieter say nothing of how loud speech is."""
_LOUD_PERCENTILE = 90
_FLOOR = 1e-10


def skipped(waveform: Waveform, words: Sequence[Word]) -> tuple[float, float] | None:
    """Return the longest stretch that seems to be spoken and has no words, or None.

    Args:
        waveform: float32, shape ``(n_samples,)``, 16 kHz.
        words: all that was heard in it, with times from its start; at least one.

    Returns:
        Its start and end in seconds.
    """
    width = int(_FRAME_S * SAMPLE_RATE)
    frames = waveform[: len(waveform) // width * width].reshape(-1, width)
    loudness_db = 10 * np.log10(np.mean(np.square(frames), axis=1) + _FLOOR)
    ends_s = len(waveform) / SAMPLE_RATE
    edges = [(0.0, words[0].start_s), (words[-1].end_s, ends_s)]
    gaps = [*((before.end_s, after.start_s) for before, after in pairwise(words)), *edges]
    wide = [(start_s, end_s) for start_s, end_s in gaps if end_s - start_s >= MIN_GAP_S]
    if not wide:
        return None
    is_word = np.ones(len(loudness_db), dtype=bool)
    for start_s, end_s in wide:
        is_word[_frame(start_s) : _frame(end_s)] = False
    if not is_word.any():
        return None
    words_db = float(np.percentile(loudness_db[is_word], _LOUD_PERCENTILE))
    speech_db = max(words_db - _BELOW_SPEECH_DB, _QUIETEST_SPEECH_DB)
    loud = [
        (start_s, end_s)
        for start_s, end_s in wide
        if _is_speech(loudness_db[_frame(start_s) : _frame(end_s)], speech_db)
    ]
    return max(loud, key=lambda gap: gap[1] - gap[0], default=None)


def _is_speech(loudness_db: np.ndarray, speech_db: float) -> bool:
    """Say whether a stretch is loud for long enough, and goes up and down as speech does."""
    loud_s = float(np.count_nonzero(loudness_db > speech_db)) * _FRAME_S
    quiet_db, loud_db = np.percentile(loudness_db, (100 - _LOUD_PERCENTILE, _LOUD_PERCENTILE))
    return bool(loud_s >= MIN_LOUD_S and loud_db - quiet_db >= MIN_RANGE_DB)


def _frame(at_s: float) -> int:
    return round(at_s / _FRAME_S)
