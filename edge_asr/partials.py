"""The text so far of what is still being spoken: the open utterance, read while it grows.

A partial is computed only while nothing is pending, and only if it will probably be done within
``MAX_COST_S``. When an utterance closes meanwhile, it is broken off: the final text does not wait.
How often there is one follows from how long the last took.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.abandoning import AbandonedError, abandoned_when
from edge_asr.errors import StoreError
from edge_asr.records import SAMPLE_RATE
from edge_asr.store.recording import read_recording

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_asr.recognizers import Recognizer
    from edge_asr.records import PartialText, Request
    from edge_asr.store import Store
    from edge_asr.store.headers import Header

MIN_GROWTH_S = 0.5
"""Seconds of new sound that are worth another look."""
MAX_COST_S = 1.0
REST = 2.0
"""Times as long as a partial took, nothing is computed after it."""
LOOK_S = 0.25
"""How often it is asked whether someone speaks. Nothing rings when an utterance begins."""


@dataclass(frozen=True, slots=True)
class Partial:
    """What someone said so far."""

    header: Header
    found: PartialText


class Partials:
    """Reads along, one open utterance at a time: the one that began last.

    Args:
        store: where it is.
        recognizer: what reads it.
        request: what is to be done with it in the end.
        are_wanted: says whether anybody would see them.
    """

    def __init__(
        self,
        store: Store,
        recognizer: Recognizer,
        request: Request,
        *,
        are_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        self._store = store
        self.are_wanted = are_wanted
        self._recognizer = recognizer
        self._request = request
        self._uid = ""
        self._previous: PartialText | None = None
        self._n_heard = 0
        self._cost_per_s = 0.0
        """Seconds that a second of sound took, when it was last measured."""
        self._rest_until_s = 0.0

    def look(self) -> Partial | None:
        """Return what is new; None where nobody speaks, or says little more, or it is too early."""
        spoken = self._store.utterances.being_spoken()
        if not spoken or time.monotonic() < self._rest_until_s:
            return None
        try:
            # One that is gone was closed, by whichever microphone: its text is wanted now.
            with abandoned_when(lambda: not all(path.exists() for path in spoken)):
                return self._read(spoken[-1])  # names sort by time
        except AbandonedError:
            return None

    def _read(self, path: Path) -> Partial | None:
        try:
            header, waveform = read_recording(path)
        except StoreError:  # it was closed a moment ago; what is damaged is the repair's business
            return None
        if header.uid != self._uid:
            self._uid, self._previous, self._n_heard = header.uid, None, 0
        duration_s = len(waveform) / SAMPLE_RATE
        if len(waveform) - self._n_heard < MIN_GROWTH_S * SAMPLE_RATE:
            return None
        if self._cost_per_s * duration_s > MAX_COST_S:
            return None
        started_s = time.monotonic()
        found = self._recognizer.partial(waveform, self._request, self._previous)
        ended_s = time.monotonic()
        self._n_heard = len(waveform)
        self._cost_per_s = (ended_s - started_s) / duration_s
        self._rest_until_s = ended_s + REST * (ended_s - started_s)
        if found is None or found == self._previous:
            return None
        is_new = self._previous is None or found.text != self._previous.text
        self._previous = found
        # Whoever closed it meanwhile has its text to come.
        return Partial(header, found) if found.text and is_new and path.exists() else None
