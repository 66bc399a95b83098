"""What an adapter has learnt: speech kept aside, heard in short windows before and after."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.evaluation.scoring import Errors, count_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_asr.recognizers.whisper_tokenizer import WhisperTokenizer
    from export.whisper_distil import Lesson, Student

MARGINS = (16, 32, 64)
"""Frames of 20 ms behind an utterance."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Word error rates in percent."""

    wer: float
    """Against the transcripts, of the pieces that have one."""
    differs: float
    """Against what the full window gives."""


class Exam:
    """Pieces that nothing was learnt from."""

    def __init__(self, lessons: Sequence[Lesson], tokenizer: WhisperTokenizer) -> None:
        self._lessons = lessons
        self._tokenizer = tokenizer
        self._taught = [tokenizer.decode(each.token_ids[each.n_prompt :]) for each in lessons]

    def take(self, student: Student) -> dict[int, Mark]:
        """Return a mark for each margin."""
        return {
            margin: self._mark(
                [self._tokenizer.decode(student.token_ids(each, margin)) for each in self._lessons]
            )
            for margin in MARGINS
        }

    def lines(self, before: dict[int, Mark], after: dict[int, Mark]) -> Iterator[str]:
        """Yield the report as people read it."""
        n_pieces, full = len(self._lessons), self._mark(self._taught)
        yield f"  {n_pieces} pieces that were kept aside; the full window's WER: {full.wer:.2f} %"
        yield f"  {'margin':>8} {'WER %':>10} {'adapted':>9} {'differs %':>11} {'adapted':>9}"
        for margin, now in after.items():
            was = before[margin]
            yield (
                f"  {margin:>8} {was.wer:>10.2f} {now.wer:>9.2f}"
                f" {was.differs:>11.2f} {now.differs:>9.2f}"
            )

    def _mark(self, texts: Sequence[str]) -> Mark:
        of_teacher, of_speech = Errors(), Errors()
        for lesson, taught, text in zip(self._lessons, self._taught, texts, strict=True):
            language = lesson.piece.language or "en"
            of_teacher += count_errors(taught, text, language)
            if lesson.piece.text:
                of_speech += count_errors(lesson.piece.text, text, language)
        return Mark(of_speech.wer, of_teacher.wer)
