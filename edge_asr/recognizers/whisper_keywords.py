"""Keywords for Whisper: what sounds like one is weighed by the decoder, with and without a hint.

Whisper was trained to go on from a text before its own (Radford et al., 2022, section 2.3): a
keyword there is a hint that it may be said. The whole list as a hint changes all that is written;
and in the decoder's own search a rare word is lost at its first token, bonus or not. So the list
comes in afterwards: the stretch of the text that sounds most like a keyword is replaced, and the
decoder is read both texts, once with that one keyword as its hint and once without any. Nothing
else of the text changes, and where nobody said anything like a keyword nothing is weighed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.errors import BundleError
from edge_asr.recognizers.decoding import Decoded
from edge_asr.recognizers.sounding_alike import sounding_alike

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_asr.recognizers.decoding import Logits
    from edge_asr.recognizers.sounding_alike import Stretch
    from edge_asr.recognizers.whisper_bundle import SpecialTokens
    from edge_asr.recognizers.whisper_decoder import PromptLogits, WhisperDecoder
    from edge_asr.sessions import Tensor

    Sound = dict[str, Tensor]
    """What the encoder gives: cross-attention keys and values, by name."""

KEYWORDS_FLAG = "keywords"
"""Not a doubt: part of the text was replaced by a keyword."""
STRENGTH = 8.5
"""Nats that a keyword may cost a text: even with the hint a decoder finds rare words unlikely. What
sounds the same and was not said costs 9 and more (docs/accuracy.md)."""
UNHINTED_WEIGHT = 0.5
"""Without the hint, what it costs counts for half: a hint alone makes much believed."""
MOST_WEIGHED = 3
"""Stretches of an utterance: each costs three or six short calls of the decoder."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An utterance, as the decoder is given it."""

    sound: Sound
    """The encoder's cross-attention keys and values."""
    logit_bias: Logits
    prompt: Sequence[int]
    """Tokens before the text."""


class KeywordReader:
    """Has a decoder read texts.

    Args:
        decoder: used for one utterance at a time.
        encode: text -> token ids, without special tokens.
        tokens: the bundle's.
        bundle_name: for errors.
    """

    def __init__(
        self,
        decoder: WhisperDecoder,
        encode: Callable[[str], Sequence[int]],
        tokens: SpecialTokens,
        bundle_name: str,
    ) -> None:
        self._decoder = decoder
        self._encode = encode
        self._tokens = tokens
        self._bundle_name = bundle_name

    def read(self, text: str, keywords: Sequence[str], heard: Heard) -> Decoded | None:
        """Return the text with the keywords that were probably said; None where it stays.

        Its probabilities are the decoder's own, without a hint. What the decoder was fed last is
        the prompt and that text.

        Args:
            text: as it was recognized.
            keywords: words, or several with spaces between.
            heard: the utterance.

        Raises:
            BundleError: the bundle was exported before its family took keywords.
        """
        if not sounding_alike(text, keywords, 1):
            return None
        longest = max(len(self._hint(keyword)) for keyword in keywords)
        n_room = len(heard.prompt) + len(self._encode(f" {text}")) + (1 + MOST_WEIGHED) * longest
        self._decoder.hear(heard.sound, heard.logit_bias, n_room)

        def weigh(stretch: Stretch, text: str) -> float:
            texts = [self._encode(f" {each}") for each in (text, stretch.replaced_in(text))]
            hinted = [*self._hint(stretch.keyword), *heard.prompt]
            if len(hinted) + max(map(len, texts)) > self._decoder.n_room:
                return -np.inf
            left = STRENGTH + self._gain(hinted, texts)
            return left + UNHINTED_WEIGHT * self._gain(heard.prompt, texts) if left > 0 else left

        found = with_keywords(text, keywords, weigh)
        if found == text:
            return None
        token_ids = self._encode(f" {found}")
        logprobs = self._logprobs(heard.prompt, [token_ids])[0]
        return Decoded(tuple(token_ids), float(np.mean(logprobs)), logprobs[:-1], ())

    def _hint(self, keyword: str) -> list[int]:
        if self._tokens.start_of_previous is None:
            raise BundleError(
                f"bundle {self._bundle_name}: it was exported without keywords; export it again"
            )
        return [self._tokens.start_of_previous, *self._encode(f" {keyword}.")]

    def _gain(self, prompt: Sequence[int], texts: Sequence[Sequence[int]]) -> float:
        """Return how many nats likelier the second text is than the first."""
        first, second = (sum(logprobs) for logprobs in self._logprobs(prompt, texts))
        return second - first

    def _logprobs(
        self, prompt: Sequence[int], texts: Sequence[Sequence[int]]
    ) -> list[tuple[float, ...]]:
        """Return how likely each token of each text is, and the end after it."""
        decoder = self._decoder
        decoder.rewind(decoder.n_past)
        before = decoder.prompt(prompt)[-1:]
        found = []
        for token_ids in texts:
            decoder.rewind(decoder.n_past - len(prompt))
            logits = np.concatenate([before, decoder.prompt(token_ids)])
            found.append(_logprobs(logits, [*token_ids, self._tokens.end_of_text]))
        return found


def with_keywords(
    text: str, keywords: Sequence[str], weigh: Callable[[Stretch, str], float]
) -> str:
    """Return a text with the keywords that belong in it, where it sounds like them.

    Args:
        text: as it was recognized.
        keywords: words, or several with spaces between.
        weigh: a stretch, the text -> more than 0 if it is to be replaced.
    """
    weighed: set[tuple[str, str]] = set()
    while len(weighed) < MOST_WEIGHED:
        for stretch in sounding_alike(text, keywords, len(weighed) + 1):
            pair = text[stretch.start : stretch.end], stretch.keyword
            if pair not in weighed:
                break
        else:
            break
        weighed.add(pair)
        if weigh(stretch, text) > 0:
            text = stretch.replaced_in(text)
    return text


def _logprobs(logits: PromptLogits, token_ids: Sequence[int]) -> tuple[float, ...]:
    """Return how likely each token was: natural logarithms."""
    peaks = logits.max(axis=1)
    totals = peaks + np.log(np.exp(logits - peaks[:, np.newaxis]).sum(axis=1))
    chosen = logits[np.arange(len(token_ids)), list(token_ids)]
    return tuple((chosen - totals).tolist())
