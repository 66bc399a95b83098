"""Times the stages of a bundle on this machine; :mod:`edge_asr.recognizers.pace` says of what."""

from __future__ import annotations

import statistics
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.recognizers.pace import SOUND_S, Pace
from edge_asr.records import SAMPLE_RATE, Request
from edge_asr.sessions import progress_told

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.bundle import Bundle

_TEXT = "text"
_ANSWER_TOKENS = 16
_QUESTION = "Add punctuation and capital letters: the pump in hall seven is leaking again"


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
