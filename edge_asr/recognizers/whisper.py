"""Whisper: log-mel features -> encoder -> greedy decoder.

An utterance is heard in a window as long as itself and a margin. The encoder graph also projects
the cross-attention keys and values, once per utterance; what comes next is chosen in the decoder's.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edge_asr.errors import BundleError
from edge_asr.recognizers.beam import beam_search
from edge_asr.recognizers.cross_alignment import word_times
from edge_asr.recognizers.decoding import MAX_COMPRESSION_RATIO, compression_ratio, likeliest
from edge_asr.recognizers.features import log_mel_spectrogram
from edge_asr.recognizers.keywords import normalized
from edge_asr.recognizers.pieces import in_pieces
from edge_asr.recognizers.speculative import Draft, speculative
from edge_asr.recognizers.tokenizer import Tokenizer
from edge_asr.recognizers.whisper_attempt import Attempt, Prompted
from edge_asr.recognizers.whisper_bundle import DECODER, ENCODER, TOKENIZER, WhisperModel
from edge_asr.recognizers.whisper_decoder import WhisperDecoder
from edge_asr.recognizers.whisper_keywords import KEYWORDS_FLAG, Heard, KeywordReader
from edge_asr.recognizers.whisper_window import FEATURES_PER_FRAME, FRAME_SAMPLES, FULL_WINDOW
from edge_asr.records import SAMPLE_RATE, PartialText, Recognition, Task, Word
from edge_asr.sessions import open_session, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.bundle import Bundle
    from edge_asr.recognizers.decoding import Decoded, Logits
    from edge_asr.recognizers.whisper_keywords import Sound
    from edge_asr.records import Request, Waveform

MAX_DURATION_S = 28.0
"""Whisper wants to hear the end: without silence behind them, 30 s lost two sentences of three."""
SURE_LOGPROB = -0.3
"""Mean log-probability of a text below which other texts are looked for, too."""
_MOST_FRAMES = 3000
"""Of all texts together: each has keys and values of the sound, 12 MB for 6 s in whisper-base."""
MIN_AVG_LOGPROB = -1.0
"""Whisper's threshold for text to be doubted."""
MAX_NO_SPEECH_PROBABILITY = 0.6
"""Whisper's threshold: above it, doubted text is taken for invented."""
_TOKENS_PER_S = 10
_TOKENS_OF_ANY_LENGTH = 12
"""More tokens than these were not said: in a short window they are a missed end. Fast Japanese
takes 9 in a second, other languages 5."""
LONGEST_PROMPT = 4
FULL_WINDOW_FLAG = "full_window"
"""Not a doubt: the short window's text was doubted, and this one is the full window's."""


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
        model = self.model
        self._tokenizer = Tokenizer(bundle.path(TOKENIZER))
        self._encoder = open_session(bundle, ENCODER, n_threads=n_threads)
        self._decoder = WhisperDecoder(
            open_session(bundle, DECODER, n_threads=n_threads),
            n_heads=model.n_heads,
            head_dim=model.head_dim,
            vocab_size=model.vocab_size,
            n_text_ctx=model.n_text_ctx,
            alignment_heads=model.alignment_heads,
        )
        self._keywords = KeywordReader(
            self._decoder, self._tokenizer.encode, model.tokens, bundle.name
        )
        self._bias = np.zeros(model.vocab_size, dtype=np.float32)
        self._bias[model.suppress_tokens] = -np.inf
        self._bias[model.tokens.timestamp_begin :] = -np.inf

    def transcribe(self, waveform: Waveform, request: Request) -> Recognition:
        """Recognize one utterance; see :class:`edge_asr.recognizers.Recognizer`."""
        self.check(request)
        return in_pieces(waveform, MAX_DURATION_S, lambda sound: self._transcribe(sound, request))

    def check(self, request: Request) -> None:
        """Check a request; see :class:`edge_asr.recognizers.Recognizer`."""
        self.bundle.check(request)

    def partial(
        self, waveform: Waveform, request: Request, previous: PartialText | None
    ) -> PartialText | None:
        """Hear all of it anew, with what was heard before as the draft."""
        if len(waveform) > MAX_DURATION_S * SAMPLE_RATE:
            return previous
        draft = self._tokenizer.encode(f" {previous.text}") if previous is not None else ()
        n_frames = self.model.window.n_frames(len(waveform))
        attempt = self._attempt(waveform, request, n_frames, draft=draft)
        if attempt.flags:  # what is doubted is not shown; the next one may be better
            return previous
        return PartialText(attempt.text, len(waveform))

    def _transcribe(self, waveform: Waveform, request: Request) -> Recognition:
        """Recognize at most 28 s."""
        started = time.perf_counter()
        n_frames = self.model.window.n_frames(len(waveform))
        attempt = self._attempt(waveform, request, n_frames)
        if {*attempt.flags} - {KEYWORDS_FLAG} and n_frames < FULL_WINDOW:
            attempt = self._attempt(waveform, request, FULL_WINDOW)
            attempt = replace(attempt, flags=(*attempt.flags, FULL_WINDOW_FLAG))
        return Recognition(
            text=attempt.text,
            language=attempt.language,
            language_probability=attempt.language_probability,
            task=request.task,
            decode_s=time.perf_counter() - started,
            avg_logprob=attempt.avg_logprob,
            flags=attempt.flags,
            words=attempt.words,
        )

    def _attempt(
        self,
        waveform: Waveform,
        request: Request,
        n_frames: int,
        draft: Sequence[int] | None = None,
    ) -> Attempt:
        """Hear an utterance in one window.

        With a draft, even an empty one, it is for a partial text: what only the final one is worth
        (a wider search, word times, keywords) is left out.
        """
        is_final = draft is None
        max_tokens = self._max_tokens(len(waveform), n_frames)
        decoder = self._decoder
        sound = self._encode(waveform, n_frames)
        decoder.hear(sound, self._bias, LONGEST_PROMPT + max_tokens)
        prompted = self._prompt(request)
        decoded = speculative(
            decoder,
            likeliest(prompted.logits),
            Draft(draft or ()),
            end_token=self.model.tokens.end_of_text,
            max_tokens=max_tokens,
        )
        n_texts = min(request.beam, _MOST_FRAMES // n_frames) if is_final else 1
        if n_texts > 1 and decoded.avg_logprob < SURE_LOGPROB and not decoded.flags:
            decoded = self._search_widely(prompted, n_texts, max_tokens)
        text, flags = self._judge(decoded, prompted.no_speech)
        attempt = Attempt(text, prompted.language, prompted.probability, decoded.avg_logprob, flags)
        n_sound = min(n_frames, -(-len(waveform) // FRAME_SAMPLES))
        if text and request.task is Task.TRANSCRIBE and is_final:
            attempt = replace(attempt, words=self._words(decoded, prompted, n_sound))
        if request.keywords and text and not flags and is_final:
            attempt = self._with_keywords(attempt, prompted, request, sound, n_sound)
        decoder.forget()
        return attempt

    def _search_widely(self, prompted: Prompted, n_texts: int, max_tokens: int) -> Decoded:
        """Return what beam search finds, and have the decoder know it as what was fed."""
        end_token = self.model.tokens.end_of_text
        decoded = beam_search(
            self._decoder.branches(prompted.n_tokens, n_texts),
            prompted.logits,
            n_texts=n_texts,
            end_token=end_token,
            max_tokens=max_tokens,
        )
        self._decoder.rewind(self._decoder.n_past - prompted.n_tokens)
        if decoded.token_ids:
            self._decoder.verify(decoded.token_ids)
        return decoded

    def _with_keywords(
        self, attempt: Attempt, prompted: Prompted, request: Request, sound: Sound, n_sound: int
    ) -> Attempt:
        """Return the attempt with the keywords that were probably said."""
        start = self.model.tokens.start_of_transcript
        prompt = [start, *self._prompt_tokens(prompted.language, request.task)]
        heard = Heard(sound, self._bias, prompt)
        decoded = self._keywords.read(attempt.text, normalized(request.keywords), heard)
        if decoded is None:
            return attempt
        return replace(
            attempt,
            text=self._tokenizer.decode(decoded.token_ids),
            avg_logprob=decoded.avg_logprob,
            flags=(*attempt.flags, KEYWORDS_FLAG),
            words=self._words(decoded, prompted, n_sound) if attempt.words else (),
        )

    def _encode(self, waveform: Waveform, n_frames: int) -> Sound:
        """Return the cross-attention keys and values, as the encoder names them."""
        features = log_mel_spectrogram(
            waveform,
            n_mels=self.model.n_mels,
            n_frames=FEATURES_PER_FRAME * n_frames,
        )
        return self._encoder.run({"input_features": tensor(features)}, self._encoder.output_names)

    def _prompt(self, request: Request) -> Prompted:
        """Feed the prompt. A language that is not known is asked for after its first token."""
        start = self.model.tokens.start_of_transcript
        if self.model.multilingual and request.language is None:
            beginning = self._decoder.prompt([start])[0]
            language, probability = self._language(beginning, request)
            logits = self._decoder.prompt(self._prompt_tokens(language, request.task))
        else:
            language, probability = request.language or "en", None
            logits = self._decoder.prompt([start, *self._prompt_tokens(language, request.task)])
            beginning = logits[0]
        no_speech = _probability(beginning, self.model.tokens.no_speech)
        first = logits[-1] + self._bias
        first[self.model.begin_suppress_tokens] = -np.inf  # such as the end: some text must come
        return Prompted(language, probability, no_speech, first, self._decoder.n_past)

    def _language(self, logits: Logits, request: Request) -> tuple[str, float]:
        """Return the likeliest of the allowed languages, and its probability among them."""
        codes = request.allowed_languages or tuple(self.model.languages)
        among = logits[[self.model.languages[code] for code in codes]]
        weights = np.exp(among - among.max())
        best = int(weights.argmax())
        return codes[best], float(weights[best] / weights.sum())

    def _prompt_tokens(self, language: str, task: Task) -> list[int]:
        """Return what follows the start token."""
        tokens = self.model.tokens
        if not self.model.multilingual:
            return [tokens.no_timestamps]
        task_token = tokens.translate if task is Task.TRANSLATE else tokens.transcribe
        if task_token is None:
            raise BundleError(f"bundle {self.bundle.name}: its manifest lacks the token of {task}")
        return [self.model.languages[language], task_token, tokens.no_timestamps]

    def _max_tokens(self, n_samples: int, n_frames: int) -> int:
        """Return half the context, as Whisper's own decoder has it; less in a short window."""
        most = self.model.n_text_ctx // 2
        if n_frames == FULL_WINDOW:
            return most
        return min(most, _TOKENS_OF_ANY_LENGTH + _TOKENS_PER_S * n_samples // SAMPLE_RATE)

    def _words(self, decoded: Decoded, prompted: Prompted, n_frames: int) -> tuple[Word, ...]:
        """Return when each word of a transcription was said."""
        if not self.model.alignment_heads:
            return ()
        # What decided about a token was fed before it, about the first one the prompt's last.
        scores = self._decoder.attention_scores(prompted.n_tokens - 1, n_frames)
        n_tokens = min(len(decoded.token_ids), scores.shape[1] - 1)
        return word_times(
            scores[:, : n_tokens + 1],
            self._tokenizer.pieces(decoded.token_ids[:n_tokens]),
            decoded.logprobs[:n_tokens],
            prompted.language,
        )

    def _judge(self, decoded: Decoded, no_speech: float) -> tuple[str, tuple[str, ...]]:
        """Return the text and the reasons to doubt it.

        Whisper's rule: unlikely text over what is probably no speech was invented, and is left out.
        """
        text = self._tokenizer.decode(decoded.token_ids)
        flags = list(decoded.flags)
        if not flags and compression_ratio(text) > MAX_COMPRESSION_RATIO:
            flags.append("repetition")
        if decoded.avg_logprob < MIN_AVG_LOGPROB:
            if no_speech > MAX_NO_SPEECH_PROBABILITY:
                return "", ("no_speech",)
            flags.append("low_probability")
        return text, tuple(flags)


def _probability(logits: Logits, token: int) -> float:
    peak = logits.max()
    return float(np.exp(logits[token] - peak) / np.exp(logits - peak).sum())
