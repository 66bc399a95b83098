"""How fast a bundle is on this machine, and with how many threads.

Times depend on shapes and not on what is said, so that noise will do. What they make of speech is
derived: text of a usual length, without the help of a draft and, where a family has drafts, with
one that is nearly right.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.records import SAMPLE_RATE, Request
from edge_asr.sessions import progress_told

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from edge_asr.bundle import Bundle

SOUND_S = 10.0
"""Length of the utterance that is imagined."""
TEXT_TOKENS_PER_S = 3.5
NEARLY_BEST = 1.05
"""Fewer threads are taken where they cost no more than this: the others are left to the board."""
_TEXT = "text"
_ANSWER_TOKENS = 16
_QUESTION = "Add punctuation and capital letters: the pump in hall seven is leaking again"


@dataclass(frozen=True, slots=True)
class Pace:
    """Medians for an utterance of 10 s, in seconds."""

    encode_s: float
    prefill_s: float
    step_s: float
    """One token of text."""
    verify_s: float | None = None
    """A token and the next of a draft, ``verified_tokens`` in all; None: there are no drafts."""
    verified_tokens: int = 1

    @property
    def rtf(self) -> float:
        """Derived: the real-time factor without drafts."""
        return self._rtf(self.step_s * TEXT_TOKENS_PER_S * SOUND_S)

    @property
    def rtf_with_drafts(self) -> float | None:
        """Derived: the real-time factor where drafts are right."""
        if self.verify_s is None:
            return None
        return self._rtf(self.verify_s * TEXT_TOKENS_PER_S * SOUND_S / self.verified_tokens)

    def _rtf(self, text_s: float) -> float:
        return (self.encode_s + self.prefill_s + text_s) / SOUND_S


def measure_pace(bundle: Bundle, *, n_threads: int) -> Pace | None:
    """Time the stages of a bundle; None where its family has nothing to time.

    Raises:
        BundleError: its graphs cannot be loaded.
    """
    family = bundle.manifest.family
    if family == "granite":
        from edge_asr.recognizers.granite_pace import measure_granite  # noqa: PLC0415

        return measure_granite(bundle, n_threads=n_threads)
    if family == _TEXT:
        from edge_asr.recognizers.text import TextModel  # noqa: PLC0415

        model = TextModel(bundle, n_threads=n_threads)
        return _watched(lambda: model.complete(_QUESTION, max_tokens=_ANSWER_TOKENS), n_encodes=0)
    if not bundle.manifest.capabilities.tasks:
        return None
    from edge_asr.recognizers import open_recognizer  # noqa: PLC0415

    recognizer = open_recognizer(bundle, n_threads=n_threads)
    noise = np.random.default_rng(1).normal(scale=0.05, size=int(SOUND_S * SAMPLE_RATE))
    sound = noise.astype(np.float32)
    request = Request(language=bundle.manifest.capabilities.languages[0])
    return _watched(lambda: recognizer.transcribe(sound, request), n_encodes=1)


def _watched(work: Callable[[], object], *, n_encodes: int) -> Pace:
    """Return the pace of work, by when its graphs ended: the second time, when all is warm."""
    work()
    ends_s = [time.perf_counter()]
    with progress_told(lambda: ends_s.append(time.perf_counter())):
        work()
    runs_s = [end - start for start, end in pairwise(ends_s)]
    encode_s = sum(runs_s[:n_encodes])
    prefill_s, *steps_s = runs_s[n_encodes:]
    return Pace(encode_s, prefill_s, statistics.median(steps_s or [prefill_s]))


def threads_to_try(most: int) -> list[int]:
    """Return the numbers of threads that are worth a measurement: all, half of them, and one."""
    return sorted({most, (most + 1) // 2, 1}, reverse=True)


def best_threads(paces: Mapping[int, Pace]) -> int:
    """Return the number of threads to use: the fewest that are as good as the best."""
    fastest = min(pace.rtf for pace in paces.values())
    return min(n for n, pace in paces.items() if pace.rtf <= NEARLY_BEST * fastest)
