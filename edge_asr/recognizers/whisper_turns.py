"""Utterances that take turns in the rows of Whisper's decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.recognizers.decoding import likeliest
from edge_asr.recognizers.together import Begun, greedy_together
from edge_asr.recognizers.whisper_window import MOST_FRAMES_TOGETHER, MOST_TOGETHER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.recognizers.decoding import Decoded
    from edge_asr.recognizers.whisper_attempt import Attempt, Prompted
    from edge_asr.recognizers.whisper_hearing import WhisperHearing
    from edge_asr.recognizers.whisper_passage import Passage


def attempts_in_turn(hearing: WhisperHearing, passages: Sequence[Passage]) -> list[Attempt]:
    """Hear utterances in windows of one length, as many at once as memory is set aside for."""
    n_frames = passages[0].n_frames
    n_rows = max(1, min(len(passages), MOST_TOGETHER, MOST_FRAMES_TOGETHER // n_frames))
    turns = _Turns(hearing, passages, n_rows)
    greedy_together(turns.rows, n_rows, turns, end_token=hearing.end_token)
    return [turns.found[each] for each in range(len(passages))]


class _Turns:
    def __init__(self, hearing: WhisperHearing, passages: Sequence[Passage], n_rows: int) -> None:
        longest = max(passage.n_samples for passage in passages)
        self.rows = hearing.rows(n_rows, longest, passages[0].n_frames)
        self.found: dict[int, Attempt] = {}
        self._hearing = hearing
        self._passages = passages
        self._coming = iter(range(len(passages)))
        self._there: dict[int, tuple[int, Prompted]] = {}

    def begin(self, row: int) -> Begun | None:
        """Begin the next one; see :class:`edge_asr.recognizers.together.Turns`."""
        if (number := next(self._coming, None)) is None:
            return None
        passage = self._passages[number]
        prompted = self._hearing.begin_row(self.rows, row, passage)
        self._there[row] = number, prompted
        max_tokens = self._hearing.max_tokens(passage.n_samples, passage.n_frames)
        return Begun(likeliest(prompted.logits), max_tokens)

    def end(self, row: int, decoded: Decoded) -> None:
        """Take its text; see :class:`edge_asr.recognizers.together.Turns`."""
        number, prompted = self._there[row]
        self.found[number] = self._hearing.end_row(
            self.rows, row, self._passages[number], prompted, decoded
        )
