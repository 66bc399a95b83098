"""Whisper's prompt: what was said before, the language, the task, and what is answered to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge_asr.errors import BundleError
from edge_asr.recognizers.whisper_attempt import Prompted
from edge_asr.records import Task

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_asr.recognizers.decoding import Logits
    from edge_asr.recognizers.whisper_bundle import WhisperModel
    from edge_asr.recognizers.whisper_decoder import WhisperDecoder
    from edge_asr.records import Request

LONGEST_CONTEXT = 24
"""Tokens of what was said before. With 48 or 100, no more words were right."""
LONGEST_PROMPT = 4 + 1 + LONGEST_CONTEXT
"""Tokens."""


class Prompter:
    """Feeds prompts.

    Args:
        decoder: used for one utterance at a time.
        encode: text -> tokens.
        model: the bundle's.
        bundle_name: for errors.
    """

    def __init__(
        self,
        decoder: WhisperDecoder,
        encode: Callable[[str], list[int]],
        model: WhisperModel,
        bundle_name: str,
    ) -> None:
        self._decoder = decoder
        self._encode = encode
        self._model = model
        self._bundle_name = bundle_name

    def prompt(self, request: Request, bias: Logits, begun: Sequence[int] = ()) -> Prompted:
        """Feed the prompt. A language that is not known is asked for after its first token.

        Args:
            request: what is asked for.
            bias: minus infinity for what may not come.
            begun: tokens of what is said at the beginning, before what is asked for.

        Raises:
            BundleError: the manifest lacks a token that is needed.
        """
        language, probability = request.language or "en", None
        if self._model.multilingual and request.language is None:
            language, probability = self.detect(request)
            self._decoder.rewind(1)
        before = self._before(language, request)
        logits = self._decoder.prompt([*before, *self.tokens(language, request.task), *begun])
        beginning = logits[len(before)]
        no_speech = _probability(beginning, self._model.tokens.no_speech)
        first = logits[-1] + bias
        if not begun:  # some text must come, and not the end at once
            first[self._model.begin_suppress_tokens] = -np.inf
        return Prompted(language, probability, no_speech, first, self._decoder.n_past)

    def detect(self, request: Request) -> tuple[str, float]:
        """Feed the first token; return the likeliest of the allowed languages, and how likely."""
        logits = self._decoder.prompt([self._model.tokens.start_of_transcript])[0]
        return self._language(logits, request)

    def tokens(self, language: str, task: Task) -> list[int]:
        """Return the prompt.

        Raises:
            BundleError: the manifest lacks a token that is needed.
        """
        tokens = self._model.tokens
        if not self._model.multilingual:
            return [tokens.start_of_transcript, tokens.no_timestamps]
        task_token = tokens.translate if task is Task.TRANSLATE else tokens.transcribe
        if task_token is None:
            raise BundleError(f"bundle {self._bundle_name}: its manifest lacks the token of {task}")
        language_token = self._model.languages[language]
        return [tokens.start_of_transcript, language_token, task_token, tokens.no_timestamps]

    def _before(self, language: str, request: Request) -> list[int]:
        """Return the tokens of what was said before, unless it was in another language."""
        context, mark = request.context, self._model.tokens.start_of_previous
        if context is None or mark is None or context.language not in {None, language}:
            return []
        return [mark, *self._encode(f" {context.text.strip()}")[-LONGEST_CONTEXT:]]

    def _language(self, logits: Logits, request: Request) -> tuple[str, float]:
        """Return the likeliest of the allowed languages, and its probability among them."""
        codes = request.allowed_languages or tuple(self._model.languages)
        among = logits[[self._model.languages[code] for code in codes]]
        weights = np.exp(among - among.max())
        best = int(weights.argmax())
        return codes[best], float(weights[best] / weights.sum())


def _probability(logits: Logits, token: int) -> float:
    peak = logits.max()
    return float(np.exp(logits[token] - peak) / np.exp(logits - peak).sum())
