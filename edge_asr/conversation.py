"""What was said just before: with it, a model understands better how a sentence goes on."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from edge_asr.context import Context, Said
from edge_asr.recognizers.skipped import PARTS_FLAG
from edge_asr.recognizers.whisper_attempt import FULL_WINDOW_FLAG
from edge_asr.recognizers.whisper_keywords import KEYWORDS_FLAG
from edge_asr.records import SAMPLE_RATE, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.records import Recognition, Utterance, Waveform

LONGEST_PAUSE_S = 2.0
"""After a longer one, somebody may speak of something else; who does is led astray by it."""
LEAST_LOGPROB = -1.0
"""Text that a model itself finds less likely on average leads the next one astray."""
_NO_DOUBTS = frozenset({KEYWORDS_FLAG, FULL_WINDOW_FLAG, PARTS_FLAG})
"""Flags that say how a text was found."""
_MOST_LETTERS = 400
_MOST_SOUND_S = 15.0
"""Families take less of both."""


class Conversation:
    """What one source said last, as long as it may help with what it says next.

    Text that there is a reason to doubt is forgotten, with all that came before it: a model that
    once invents something would go on with it. Whisper's own decoder has the same rule (Radford et
    al., 2022, section 4.5).

    Args:
        begun: what is known to come before the first utterance, however long before.
    """

    def __init__(self, begun: Context | None = None) -> None:
        self._said = begun
        self._end_s: float | None = None
        """When the last utterance ended; None before the first."""

    def before(self, start_s: float) -> Context | None:
        """Return what was said before ``start_s``, a second on the source's own clock."""
        is_near = self._end_s is None or 0.0 <= start_s - self._end_s <= LONGEST_PAUSE_S
        return self._said if is_near else None

    def add(self, start_s: float, end_s: float, found: Recognition, waveform: Waveform) -> None:
        """Remember what was said between two seconds on the source's own clock."""
        before = self.before(start_s)
        self._said, self._end_s = None, end_s
        unlikely = found.avg_logprob is not None and found.avg_logprob < LEAST_LOGPROB
        if unlikely or {*found.flags} - _NO_DOUBTS:
            return
        if found.task is not Task.TRANSCRIBE or not found.text.strip():
            return
        goes_on = before is not None and before.language == found.language
        earlier = before.said if before is not None and goes_on else ()
        self._said = Context(_end_of((*earlier, Said(found.text, waveform))), found.language)


def _end_of(said: Sequence[Said]) -> tuple[Said, ...]:
    """Return the last of what was said, and its sound, as far as it is remembered."""
    kept: list[Said] = []
    n_letters, n_samples = 0, 0
    for each in reversed(said):
        if n_letters >= _MOST_LETTERS:
            break
        n_letters += len(each.text)
        n_samples += 0 if each.waveform is None else len(each.waveform)
        is_near = n_samples <= _MOST_SOUND_S * SAMPLE_RATE
        kept.append(each if is_near else Said(each.text))
    return tuple(reversed(kept))


class Conversations:
    """The conversations of all sources, of which the utterances come from a store."""

    def __init__(self) -> None:
        self._of: defaultdict[tuple[str, str], Conversation] = defaultdict(Conversation)

    def before(self, utterance: Utterance) -> Context | None:
        """Return what its source said just before an utterance."""
        return self._of[_clock(utterance)].before(_start_s(utterance))

    def add(self, utterance: Utterance, found: Recognition, waveform: Waveform) -> None:
        """Remember what was said in an utterance."""
        start_s = _start_s(utterance)
        conversation = self._of[_clock(utterance)]
        conversation.add(start_s, start_s + utterance.duration_s, found, waveform)


def _clock(utterance: Utterance) -> tuple[str, str]:
    return utterance.source, utterance.start.boot_id


def _start_s(utterance: Utterance) -> float:
    return utterance.start.monotonic_ns / 1e9
