"""Whose turn it is: several microphones share one recognizer, and none waits for another's flood.

Start-time fair queueing (Goyal, Vin and Cheng, 1996), with seconds of sound as the cost: each
source has a clock of its own that runs on by what is transcribed of it, and the source whose clock
is furthest behind has its turn. A source that was silent starts where the others are, so that
silence saves up nothing. Within a source the oldest comes first.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.records import Utterance


@dataclass(slots=True)
class Turns:
    """Who had how much, as far as this process took it. A restart begins anew, which harms nobody.

    The clocks of sources that are gone are a few bytes each: sources have names that people gave.
    """

    _clocks: dict[str, int] = field(default_factory=dict)
    """Source -> samples, where its next utterance starts on the common axis."""
    _now: int = 0
    """Where the last utterance started that was given a turn."""

    def next(self, oldest: Sequence[Utterance]) -> Utterance:
        """Return whose turn it is, and count it.

        Args:
            oldest: of each source that waits, the oldest utterance; at least one.
        """
        chosen = min(oldest, key=lambda each: (self._start(each), each.utterance_id))
        self._now = self._start(chosen)
        self._clocks[chosen.source] = self._now + chosen.n_samples
        return chosen

    def _start(self, utterance: Utterance) -> int:
        return max(self._clocks.get(utterance.source, 0), self._now)
