"""Whisper hears: log-mel features -> encoder -> greedy decoder, in a window of any length.

The encoder graph also projects the cross-attention keys and values, once per utterance; what comes
next is chosen in the decoder's.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.recognizers.beam import beam_search
from edge_asr.recognizers.cross_alignment import word_times
from edge_asr.recognizers.decoding import likeliest
from edge_asr.recognizers.features import log_mel_spectrogram
from edge_asr.recognizers.keywords import normalized
from edge_asr.recognizers.sounding_alike import sounding_alike
from edge_asr.recognizers.speculative import Draft, speculative
from edge_asr.recognizers.whisper_attempt import judged
from edge_asr.recognizers.whisper_bundle import DECODER, ENCODER, TOKENIZER
from edge_asr.recognizers.whisper_decoder import WhisperDecoder
from edge_asr.recognizers.whisper_keywords import KEYWORDS_FLAG, Heard, KeywordReader
from edge_asr.recognizers.whisper_prompt import LONGEST_PROMPT, Prompter
from edge_asr.recognizers.whisper_tokenizer import WhisperTokenizer
from edge_asr.recognizers.whisper_window import (
    FEATURES_PER_FRAME,
    FULL_WINDOW,
)
from edge_asr.records import SAMPLE_RATE, Task
from edge_asr.sessions import open_session, tensor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_asr.bundle import Bundle
    from edge_asr.recognizers.cross_alignment import AttentionScores
    from edge_asr.recognizers.decoding import Decoded
    from edge_asr.recognizers.whisper_attempt import Attempt, Prompted
    from edge_asr.recognizers.whisper_bundle import WhisperModel
    from edge_asr.recognizers.whisper_keywords import Sound
    from edge_asr.recognizers.whisper_passage import Passage
    from edge_asr.recognizers.whisper_rows import WhisperRows
    from edge_asr.records import Request, Word
    from edge_asr.sessions import Tensor

SURE_LOGPROB = -0.3
"""Mean log-probability of a text below which other texts are looked for, too."""
_TOKENS_PER_S = 10
_TOKENS_OF_ANY_LENGTH = 12
"""More tokens than these were not said: in a short window they are a missed end. Fast Japanese
takes 9 in a second, other languages 5."""


def most_said(n_samples: int) -> int:
    """Return how many tokens can have been said in so much sound."""
    return _TOKENS_OF_ANY_LENGTH + _TOKENS_PER_S * n_samples // SAMPLE_RATE


class WhisperHearing:
    """The graphs of a Whisper bundle, and what is made of an utterance with them."""

    def __init__(self, bundle: Bundle, model: WhisperModel, *, n_threads: int) -> None:
        self._model = model
        self.end_token = model.tokens.end_of_text
        self._tokenizer = WhisperTokenizer(bundle.path(TOKENIZER))
        self._encoder = open_session(bundle, ENCODER, n_threads=n_threads, arena=False)
        self._decoder = WhisperDecoder(
            open_session(bundle, DECODER, n_threads=n_threads, arena=False),
            n_heads=model.n_heads,
            head_dim=model.head_dim,
            vocab_size=model.vocab_size,
            n_text_ctx=model.n_text_ctx,
            alignment_heads=model.alignment_heads,
        )
        self._prompter = Prompter(self._decoder, self._tokenizer.encode, model, bundle.name)
        self._keywords = KeywordReader(
            self._decoder, self._tokenizer.encode, model.tokens, bundle.name
        )
        self._bias = np.zeros(model.vocab_size, dtype=np.float32)
        self._bias[model.suppress_tokens] = -np.inf
        self._bias[model.tokens.timestamp_begin :] = -np.inf

    def detect(self, passage: Passage) -> tuple[str, float | None]:
        """Return an utterance's language, as asked for or detected, and how probable it is."""
        if passage.request.language or not self._model.multilingual:
            return passage.request.language or "en", None
        self._decoder.hear(self._encode(passage), self._bias, 1)
        found = self._prompter.detect(passage.request)
        self._decoder.forget()
        return found

    def attempt_so_far(self, passage: Passage, before: str | None) -> Attempt:
        """Hear what has been said so far.

        What only the final text is worth (a wider search, word times, keywords) is left out.

        Args:
            passage: as far as it was spoken.
            before: its text when it was shorter; the draft of this one.
        """
        draft = self._tokenizer.encode(f" {before}") if before is not None else ()
        decoded, prompted = self._read(self._encode(passage), passage, draft)
        self._decoder.forget()
        return judged(self._tokenizer.decode(decoded.token_ids), decoded, prompted)

    def attempt(self, passage: Passage) -> Attempt:
        """Hear an utterance in one window."""
        return self._attempt(self._encode(passage), passage)

    def rows(self, n_rows: int, n_samples: int, n_frames: int) -> WhisperRows:
        """Return rows for utterances of at most so many samples, in windows of one length."""
        n_room = LONGEST_PROMPT + self.max_tokens(n_samples, n_frames)
        return self._decoder.rows(n_rows, n_frames, self._bias, n_room)

    def begin_row(self, rows: WhisperRows, row: int, passage: Passage) -> Prompted:
        """Have an utterance begin in a row; return what was answered to its prompt."""
        sound = rows.sound(row)
        self._encode(passage, into=sound)
        n_room = LONGEST_PROMPT + self.max_tokens(passage.n_samples, passage.n_frames)
        self._decoder.hear(sound, self._bias, n_room)
        prompted = self._prompter.prompt(passage.request, self._bias)
        self._decoder.begin(rows, row)
        self._decoder.forget()
        return prompted

    def end_row(
        self, rows: WhisperRows, row: int, passage: Passage, prompted: Prompted, decoded: Decoded
    ) -> Attempt:
        """Return what comes of an utterance whose text was found in a row.

        Where more is wanted than its words and their times, it is read anew, alone, with the text
        as the draft.
        """
        if not self._is_settled(decoded, passage.request):
            return self._attempt(rows.sound(row), passage, decoded.token_ids)
        look = partial(
            self._decoder.attention_scores_of,
            rows,
            row,
            prompted.n_tokens - 1,
            len(decoded.token_ids) + 1,
            passage.frames,
        )
        return self._with_words(decoded, prompted, passage.request, look)

    def max_tokens(self, n_samples: int, n_frames: int) -> int:
        """Return half the context, as Whisper's own decoder has it; less in a short window."""
        most = self._model.n_text_ctx // 2
        if n_frames == FULL_WINDOW:
            return most
        return min(most, most_said(n_samples))

    def _is_settled(self, decoded: Decoded, request: Request) -> bool:
        """Return whether nothing but its word times is wanted of an utterance."""
        if decoded.flags or (request.beam > 1 and decoded.avg_logprob < SURE_LOGPROB):
            return False
        text = self._tokenizer.decode(decoded.token_ids)
        return not sounding_alike(text, normalized(request.keywords), 1)

    def _attempt(self, sound: Sound, passage: Passage, draft: Sequence[int] = ()) -> Attempt:
        """Make of an utterance all that can be made of it."""
        request = passage.request
        decoded, prompted = self._read(sound, passage, draft)
        if request.beam > 1 and decoded.avg_logprob < SURE_LOGPROB and not decoded.flags:
            max_tokens = self.max_tokens(passage.n_samples, passage.n_frames)
            decoded = self._search_widely(prompted, request.beam, max_tokens)
        # What decided about a token was fed before it, about the first one the prompt's last.
        look = partial(self._decoder.attention_scores, prompted.n_tokens - 1, passage.frames)
        attempt = self._with_words(decoded, prompted, request, look)
        if request.keywords and attempt.text and not attempt.flags:
            attempt = self._with_keywords(attempt, prompted, passage, sound, look)
        self._decoder.forget()
        return attempt

    def _read(
        self, sound: Sound, passage: Passage, draft: Sequence[int]
    ) -> tuple[Decoded, Prompted]:
        """Return the likeliest text, and what the decoder answered to its prompt."""
        max_tokens = self.max_tokens(passage.n_samples, passage.n_frames)
        begun = self._begun(passage)
        self._decoder.hear(sound, self._bias, LONGEST_PROMPT + len(begun) + max_tokens)
        prompted = self._prompter.prompt(passage.request, self._bias, begun)
        decoded = speculative(
            self._decoder,
            likeliest(prompted.logits),
            Draft(draft),
            end_token=self.end_token,
            max_tokens=max_tokens,
        )
        return decoded, prompted

    def _begun(self, passage: Passage) -> list[int]:
        """Return the tokens of what is said in a passage before the utterance."""
        return self._tokenizer.encode(f" {passage.text_before}") if passage.text_before else []

    def _search_widely(self, prompted: Prompted, n_texts: int, max_tokens: int) -> Decoded:
        """Return what beam search finds, and have the decoder know it as what was fed."""
        decoded = beam_search(
            self._decoder.branches(prompted.n_tokens, n_texts),
            prompted.logits,
            n_texts=n_texts,
            end_token=self.end_token,
            max_tokens=max_tokens,
        )
        self._decoder.rewind(self._decoder.n_past - prompted.n_tokens)
        if decoded.token_ids:
            self._decoder.verify(decoded.token_ids)
        return decoded

    def _with_keywords(
        self,
        attempt: Attempt,
        prompted: Prompted,
        passage: Passage,
        sound: Sound,
        look: Callable[[], AttentionScores],
    ) -> Attempt:
        """Return the attempt with the keywords that were probably said."""
        request = passage.request
        prompt = self._prompter.tokens(prompted.language, request.task) + self._begun(passage)
        heard = Heard(sound, self._bias, prompt)
        decoded = self._keywords.read(attempt.text, normalized(request.keywords), heard)
        if decoded is None:
            return attempt
        return replace(
            attempt,
            text=self._tokenizer.decode(decoded.token_ids),
            avg_logprob=decoded.avg_logprob,
            flags=(*attempt.flags, KEYWORDS_FLAG),
            words=self._words(decoded, prompted.language, look()) if attempt.words else (),
        )

    def _encode(self, passage: Passage, into: dict[str, Tensor] | None = None) -> Sound:
        """Return the cross-attention keys and values, as the encoder names them."""
        n_frames = passage.n_frames
        features = log_mel_spectrogram(
            passage.waveform,
            n_mels=self._model.n_mels,
            n_frames=FEATURES_PER_FRAME * n_frames,
        )
        if into is None:
            names, model = self._encoder.output_names, self._model
            # One block, and not the runtime's, which would keep it: the system has it back.
            block = np.empty((len(names), 1, model.n_heads, n_frames, model.head_dim), np.float32)
            into = dict(zip(names, map(tensor, block), strict=True))
        self._encoder.bind({}, into).run({"input_features": tensor(features)}, {})
        return into

    def _with_words(
        self,
        decoded: Decoded,
        prompted: Prompted,
        request: Request,
        look: Callable[[], AttentionScores],
    ) -> Attempt:
        """Return the text, and when each word of a transcription was said.

        Args:
            decoded: the text.
            prompted: what was answered to the prompt.
            request: what was asked for.
            look: returns where the decoder looked when it wrote the text's tokens and the end.
        """
        attempt = judged(self._tokenizer.decode(decoded.token_ids), decoded, prompted)
        if not (attempt.text and request.task is Task.TRANSCRIBE and self._model.alignment_heads):
            return attempt
        return replace(attempt, words=self._words(decoded, prompted.language, look()))

    def _words(self, decoded: Decoded, language: str, scores: AttentionScores) -> tuple[Word, ...]:
        n_tokens = min(len(decoded.token_ids), scores.shape[1] - 1)
        return word_times(
            scores[:, : n_tokens + 1],
            self._tokenizer.pieces(decoded.token_ids[:n_tokens]),
            decoded.logprobs[:n_tokens],
            language,
        )
