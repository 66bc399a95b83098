"""Whisper: speech in a window as long as itself and a margin; the full window where in doubt."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from edge_asr.errors import BundleError
from edge_asr.recognizers.pieces import all_in_pieces, cut_within, joined
from edge_asr.recognizers.skipped import PARTS_FLAG, SKIPPED_FLAG, skipped
from edge_asr.recognizers.whisper_attempt import FULL_WINDOW_FLAG, NO_SPEECH_FLAG
from edge_asr.recognizers.whisper_bundle import WhisperModel
from edge_asr.recognizers.whisper_hearing import SURE_LOGPROB, WhisperHearing
from edge_asr.recognizers.whisper_keywords import KEYWORDS_FLAG
from edge_asr.recognizers.whisper_passage import Passage
from edge_asr.recognizers.whisper_turns import attempts_in_turn
from edge_asr.recognizers.whisper_window import FULL_WINDOW, companies
from edge_asr.records import SAMPLE_RATE, PartialText, Recognition, Task

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.bundle import Bundle
    from edge_asr.context import Context
    from edge_asr.recognizers.whisper_attempt import Attempt
    from edge_asr.records import Request, Waveform

MAX_DURATION_S = 28.0
"""Whisper wants to hear the end: without silence behind them, 30 s lost two sentences of three."""
WHOLE_S = 15.0
"""What is longer is heard in pieces, together: in less time, and of lengths that adapters learn."""
PIECE_S = 12.0
"""Pieces are about as long, or shorter."""
SKIPPED_CUT_S = 1.0
"""From where words end before something that was skipped, so far a pause to cut at is sought."""


class WhisperRecognizer:
    """Runs a bundle of the family ``whisper``."""

    def __init__(self, bundle: Bundle, *, n_threads: int) -> None:
        self.bundle = bundle
        try:
            self.model = msgspec.convert(bundle.manifest.model, WhisperModel)
        except msgspec.ValidationError as error:
            raise BundleError(
                f"bundle {bundle.name}: its manifest is incomplete ({error}); export it again"
            ) from error
        self._hearing = WhisperHearing(bundle, self.model, n_threads=n_threads)

    def transcribe(self, waveform: Waveform, request: Request) -> Recognition:
        """Recognize one utterance; see :class:`edge_asr.recognizers.Recognizer`."""
        (found,) = self.transcribe_all([waveform], request)
        return found

    def transcribe_all(self, waveforms: Sequence[Waveform], request: Request) -> list[Recognition]:
        """Recognize utterances; see :func:`edge_asr.recognizers.together.transcribe_all`."""
        self.check(request)
        heard = self._in_pieces(waveforms, request)
        return [
            self._completed(found, waveform, request)
            for waveform, found in zip(waveforms, heard, strict=True)
        ]

    def _in_pieces(self, waveforms: Sequence[Waveform], request: Request) -> list[Recognition]:
        return all_in_pieces(
            waveforms, WHOLE_S, PIECE_S, lambda sounds: self._transcribe_all(sounds, request)
        )

    def _completed(self, found: Recognition, waveform: Waveform, request: Request) -> Recognition:
        """Hear the sound again, cut where something was skipped; flag what stays incomplete."""
        if not found.words or {*found.flags} - {KEYWORDS_FLAG}:  # or it was heard twice already
            return found
        if (gap := skipped(waveform, found.words)) is None:
            return found
        cut = cut_within(waveform, gap[0], min(gap[1], gap[0] + SKIPPED_CUT_S))
        parts = self._in_pieces([waveform[:cut], waveform[cut:]], request)
        again = joined(parts, [0, cut])
        again = replace(again, decode_s=found.decode_s + again.decode_s)
        doubts = {*again.flags} - {KEYWORDS_FLAG, FULL_WINDOW_FLAG}
        if len(again.words) <= len(found.words) or doubts:
            return replace(found, decode_s=again.decode_s, flags=(*found.flags, SKIPPED_FLAG))
        flags = dict.fromkeys((*again.flags, PARTS_FLAG))
        if skipped(waveform, again.words):
            flags[SKIPPED_FLAG] = None
        return replace(again, flags=tuple(flags))

    def check(self, request: Request) -> None:
        """Check a request; see :class:`edge_asr.recognizers.Recognizer`."""
        self.bundle.check(request)

    def partial(
        self, waveform: Waveform, request: Request, previous: PartialText | None
    ) -> PartialText | None:
        """Hear all of it anew, with what was heard before as the draft."""
        if len(waveform) > MAX_DURATION_S * SAMPLE_RATE:
            return previous
        before = previous.text if previous is not None else None
        attempt = self._hearing.attempt_so_far(self._passage(waveform, request), before)
        if attempt.flags:  # what is doubted is not shown; the next one may be better
            return previous
        return PartialText(attempt.text, len(waveform))

    def _transcribe(self, waveform: Waveform, request: Request) -> Recognition:
        """Recognize at most 28 s."""
        started = time.perf_counter()
        passage = self._passage(waveform, request)
        attempt = None
        if request.context is not None:
            attempt = self._in_conversation(passage, request.context)
        if attempt is None:
            passage = replace(passage, request=replace(request, context=None))
            attempt = self._heard_again(self._hearing.attempt(passage), passage)
        return _recognition(attempt, request, time.perf_counter() - started)

    def _passage(self, waveform: Waveform, request: Request) -> Passage:
        return Passage(waveform, request, self.model.window.n_frames(len(waveform)))

    def _in_conversation(self, passage: Passage, context: Context) -> Attempt | None:
        """Return what is understood with what was said before; None where that leads astray."""
        for hear in (self._behind, self._hearing.attempt):
            attempt = hear(passage)
            if attempt is not None and not _is_led_astray(attempt, context):
                return attempt if attempt.text else replace(attempt, flags=(NO_SPEECH_FLAG,))
        return None

    def _behind(self, passage: Passage) -> Attempt | None:
        """Hear an utterance behind the sound of what was said before, where that is at hand."""
        request, context = passage.request, passage.request.context
        behind = passage.behind_what_was_said(self.model.window)
        if context is None or behind is None or request.task is not Task.TRANSCRIBE:
            return None
        language, probability = self._hearing.detect(passage)  # of the utterance alone
        if language != context.language:
            return None
        request = replace(behind.request, language=language)
        attempt = self._hearing.attempt(replace(behind, request=request))
        return replace(attempt, language_probability=probability)

    def _transcribe_all(self, waveforms: Sequence[Waveform], request: Request) -> list[Recognition]:
        """Recognize sounds of at most 28 s each: together those that go well together."""
        if len(waveforms) > 1:  # it came before the first of them, at best
            request = replace(request, context=None)
        n_frames = [self.model.window.n_frames(len(waveform)) for waveform in waveforms]
        found: dict[int, Recognition] = {}
        for company in companies(n_frames):
            sounds = [waveforms[each] for each in company]
            found |= zip(company, self._together(sounds, request), strict=True)
        return [found[each] for each in range(len(waveforms))]

    def _together(self, waveforms: Sequence[Waveform], request: Request) -> list[Recognition]:
        """Recognize sounds in windows as long as the longest of them needs."""
        if len(waveforms) == 1:
            return [self._transcribe(waveforms[0], request)]
        started = time.perf_counter()
        n_frames = self.model.window.n_frames(max(map(len, waveforms)))
        passages = [Passage(waveform, request, n_frames) for waveform in waveforms]
        attempts = [
            self._heard_again(attempt, passage)
            for passage, attempt in zip(
                passages, attempts_in_turn(self._hearing, passages), strict=True
            )
        ]
        s_per_sample = (time.perf_counter() - started) / sum(map(len, waveforms))
        return [
            _recognition(attempt, request, s_per_sample * len(waveform))
            for waveform, attempt in zip(waveforms, attempts, strict=True)
        ]

    def _heard_again(self, attempt: Attempt, passage: Passage) -> Attempt:
        """Return what the full window gives where a shorter one's text is doubted."""
        if not {*attempt.flags} - {KEYWORDS_FLAG} or passage.n_frames == FULL_WINDOW:
            return attempt
        attempt = self._hearing.attempt(replace(passage, n_frames=FULL_WINDOW))
        return replace(attempt, flags=(*attempt.flags, FULL_WINDOW_FLAG))


def _is_led_astray(attempt: Attempt, context: Context) -> bool:
    """Return whether a text is doubted, or only repeats what was said before it.

    That nothing was said at all is believed if it is sure.
    """
    if {*attempt.flags} - {KEYWORDS_FLAG}:
        return True
    if not attempt.text:
        return attempt.avg_logprob < SURE_LOGPROB
    return context.text.rstrip().endswith(attempt.text.strip())


def _recognition(attempt: Attempt, request: Request, decode_s: float) -> Recognition:
    return Recognition(
        text=attempt.text,
        language=attempt.language,
        language_probability=attempt.language_probability,
        task=request.task,
        decode_s=decode_s,
        avg_logprob=attempt.avg_logprob,
        flags=attempt.flags,
        words=attempt.words,
    )
