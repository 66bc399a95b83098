"""Sound -> speech: framing, voice activity and segmenting, joined.

The detector costs half as much for many frames at once as for three at a time, and the processor's
sleep is worth more than that. So while nobody speaks and the sound stays as calm as it was, frames
wait, for :data:`LONGEST_WAIT_S` at most. They are all heard in the end, in their order, and what
comes of them is what would have come of them at once; only when it comes is another matter. As soon
as anything is louder than the noise before it, all that waits is heard with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.capture.calm import Calm
from edge_asr.capture.framing import FRAME_SAMPLES, Framer
from edge_asr.capture.segmenter import Segmenter
from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.capture.near_misses import NearMisses
    from edge_asr.capture.segmenter import SegmentEvent
    from edge_asr.capture.vad import SileroVad
    from edge_asr.config import VadSettings
    from edge_asr.records import EndReason, Waveform

LONGEST_WAIT_S = 1.6
"""Fifty frames: more at once would hardly be cheaper."""
ATTENTION_S = 3.0
"""For so long after anything like speech, more of it is expected."""
_LIKE_SPEECH = 0.1
"""A probability far below any threshold; machines stay below it, breath may not."""


class Hearing:
    """Turns the sound of one source into the segmenter's events.

    Args:
        vad: tells speech from silence.
        settings: what an utterance is.
        near: follows what was nearly taken for speech; None: nobody wants to know.
        longest_wait_s: for how long calm sound may wait to be heard; 0 hears all of it at once.
        attend: is told, at each change, whether more speech is expected.
    """

    def __init__(
        self,
        vad: SileroVad,
        settings: VadSettings,
        near: NearMisses | None = None,
        *,
        longest_wait_s: float = LONGEST_WAIT_S,
        attend: Callable[[bool], None] = lambda _closely: None,
    ) -> None:
        vad.reset()
        self._vad = vad
        self._framer = Framer()
        self._segmenter = Segmenter(settings)
        self._near = near
        self._calm = Calm()
        self._waiting: list[Waveform] = []
        self._n_waiting = 0
        self._most_waiting = int(longest_wait_s * SAMPLE_RATE)
        self._attend = attend
        self._told = True
        self._quiet_since = -int(ATTENTION_S * SAMPLE_RATE)
        self.position = 0
        """Where the next sample stands in the segmenter's count, which pads at each finish."""
        self.n_heard = 0
        """How many samples were heard, without padding."""

    @property
    def is_attentive(self) -> bool:
        """Whether somebody speaks, or did a moment ago."""
        return self._segmenter.is_in_speech or (
            self.position - self._quiet_since < ATTENTION_S * SAMPLE_RATE
        )

    def hear(self, waveform: Waveform) -> list[SegmentEvent]:
        """Hear the next samples, as many as there are."""
        self.position += len(waveform)
        self.n_heard += len(waveform)
        frames = self._framer.push(waveform)
        if not len(frames):
            return []
        self._waiting.append(frames)
        self._n_waiting += len(frames)
        may_wait = self._calm.holds(frames) and not self.is_attentive
        events = [] if may_wait and self._n_waiting < self._most_waiting else self._segment()
        if self.is_attentive is not self._told:
            self._told = not self._told
            self._attend(self._told)
        return events

    def finish(self, reason: EndReason) -> list[SegmentEvent]:
        """End what is being spoken: what is heard next does not continue it."""
        rest = self._framer.flush()
        if len(rest):
            self._waiting.append(rest)
        events = self._segment()
        last = self._segmenter.finish(reason)
        if self._near is not None:
            self._near.finish(reason, last)
        self.position = self._framer.position
        self._vad.reset()
        return [*events, *last]

    def _segment(self) -> list[SegmentEvent]:
        """Hear all that waits."""
        if not self._waiting:
            return []
        frames = np.concatenate(self._waiting) if len(self._waiting) > 1 else self._waiting[0]
        self._waiting, self._n_waiting = [], 0
        probabilities = self._vad.probabilities(frames)
        like_speech = np.flatnonzero(probabilities >= _LIKE_SPEECH)
        if len(like_speech):
            n_after = (len(probabilities) - int(like_speech[-1])) * FRAME_SAMPLES
            self._quiet_since = self.position - n_after
        events = self._segmenter.push(frames, probabilities)
        if self._near is not None:
            self._near.push(frames, probabilities, events)
        return events
