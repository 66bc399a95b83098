"""Sound as Whisper hears it in one window: an utterance, alone or behind what was said before it.

How a sentence begins, who speaks and in what room is heard in what came before; of an utterance's
first words, and of noise that was taken for an utterance, less is misunderstood behind it. The
text of what came before is known: the decoder is given it, and goes on from there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np

from edge_asr.context import Context
from edge_asr.recognizers.whisper_window import FRAME_SAMPLES
from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from edge_asr.recognizers.whisper_window import Window
    from edge_asr.records import Request, Waveform

MOST_S = 14.0
"""Of an utterance and what was said before it, together. With 10 s fewer words came right, with 20
no more: adapters have learnt what is shorter."""
_PAUSE_S = 0.5
"""Of silence between utterances, however long it was. With none fewer words came right."""


@dataclass(frozen=True, slots=True)
class Passage:
    """Sound in a window, and what is wanted of it."""

    waveform: Waveform
    request: Request
    n_frames: int
    """Encoder frames of the window."""
    n_before: int = 0
    """Samples at the beginning that are not the utterance's."""
    text_before: str = ""
    """What is said in them."""

    @property
    def n_samples(self) -> int:
        """Samples of the utterance alone."""
        return len(self.waveform) - self.n_before

    @property
    def frames(self) -> slice:
        """The utterance's own frames of the window."""
        end = min(self.n_frames, -(-len(self.waveform) // FRAME_SAMPLES))
        return slice(min(end - 1, self.n_before // FRAME_SAMPLES), end)

    def behind_what_was_said(self, window: Window) -> Self | None:
        """Return it with the sound of what was said before; None where there is none, or no room.

        What is left of the context is what was said earlier still.
        """
        context = self.request.context
        if context is None:
            return None
        pause = np.zeros(int(_PAUSE_S * SAMPLE_RATE), dtype=np.float32)
        sounds = [self.waveform]
        n_samples = len(self.waveform)
        n_earlier = len(context.said)
        for each in reversed(context.said):
            if each.waveform is None:
                break
            n_samples += len(each.waveform) + len(pause)
            if n_samples > MOST_S * SAMPLE_RATE:
                break
            sounds[:0] = [each.waveform, pause]
            n_earlier -= 1
        if len(sounds) == 1:
            return None
        earlier, heard = context.said[:n_earlier], context.said[n_earlier:]
        waveform = np.concatenate(sounds)
        return replace(
            self,
            waveform=waveform,
            request=replace(
                self.request, context=replace(context, said=earlier) if earlier else None
            ),
            n_frames=window.n_frames(len(waveform)),
            n_before=len(waveform) - len(self.waveform),
            text_before=Context(heard, context.language).text,
        )
