"""How fast a bundle is on this machine, and with how many threads.

Times depend on shapes and not on what is said, so that noise will do. What they make of speech is
derived: text of a usual length, without the help of a draft and, where a family has drafts, with
one that is nearly right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


SOUND_S = 10.0
"""Length of the utterance that is imagined."""
TEXT_TOKENS_PER_S = 3.5
NEARLY_BEST = 1.05
"""Fewer threads are taken where they cost no more than this: the others are left to the board."""


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


def threads_to_try(most: int) -> list[int]:
    """Return the numbers of threads that are worth a measurement: all, half of them, and one."""
    return sorted({most, (most + 1) // 2, 1}, reverse=True)


def best_threads(paces: Mapping[int, Pace]) -> int:
    """Return the number of threads to use: the fewest that are as good as the best."""
    fastest = min(pace.rtf for pace in paces.values())
    return min(n for n, pace in paces.items() if pace.rtf <= NEARLY_BEST * fastest)
