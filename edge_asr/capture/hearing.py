"""Sound -> speech: framing, voice activity and segmenting, joined."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.capture.framing import Framer
from edge_asr.capture.segmenter import Segmenter

if TYPE_CHECKING:
    from edge_asr.capture.near_misses import NearMisses
    from edge_asr.capture.segmenter import SegmentEvent
    from edge_asr.capture.vad import SileroVad
    from edge_asr.config import VadSettings
    from edge_asr.records import EndReason, Waveform


class Hearing:
    """Turns the sound of one source into the segmenter's events.

    Args:
        vad: gives the speech probabilities.
        settings: what an utterance is.
        near: follows what was nearly taken for speech; None: nobody wants to know.
    """

    def __init__(
        self,
        vad: SileroVad,
        settings: VadSettings,
        near: NearMisses | None = None,
    ) -> None:
        vad.reset()
        self._vad = vad
        self._framer = Framer()
        self._segmenter = Segmenter(settings)
        self._near = near
        self.position = 0
        """Where the next sample stands in the segmenter's count, which pads at each finish."""
        self.n_heard = 0
        """How many samples were heard, without padding."""

    def hear(self, waveform: Waveform) -> list[SegmentEvent]:
        """Hear the next samples, as many as there are."""
        self.position += len(waveform)
        self.n_heard += len(waveform)
        return self._segment(self._framer.push(waveform))

    def finish(self, reason: EndReason) -> list[SegmentEvent]:
        """End what is being spoken: what is heard next does not continue it."""
        rest = self._framer.flush()
        events = self._segment(rest)
        last = self._segmenter.finish(reason)
        if self._near is not None:
            self._near.finish(reason, last)
        self.position = self._framer.position
        self._vad.reset()
        return [*events, *last]

    def _segment(self, frames: Waveform) -> list[SegmentEvent]:
        if not len(frames):
            return []
        probabilities = self._vad.probabilities(frames)
        events = self._segmenter.push(frames, probabilities)
        if self._near is not None:
            self._near.push(frames, probabilities, events)
        return events
