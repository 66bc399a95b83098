"""Whisper: log-mel features -> encoder -> greedy decoder.

The encoder graph also projects the cross-attention keys and values, once per utterance. One decoder
graph serves the prompt and the single steps. Tensors pass from graph to graph inside the runtime;
only the logits of one token come out.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from edge_asr.errors import BundleError
from edge_asr.recognizers.decoding import MAX_COMPRESSION_RATIO, compression_ratio, greedy
from edge_asr.recognizers.features import log_mel_spectrogram
from edge_asr.recognizers.pieces import in_pieces
from edge_asr.recognizers.tokenizer import Tokenizer
from edge_asr.recognizers.whisper_window import FEATURES_PER_FRAME, FULL_WINDOW, Window
from edge_asr.records import SAMPLE_RATE, Recognition, Task
from edge_asr.sessions import open_session, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.bundle import Bundle
    from edge_asr.recognizers.decoding import Decoded, Logits
    from edge_asr.records import PartialText, Request, Waveform
    from edge_asr.sessions import Session, Tensor

ENCODER = "encoder_model.onnx"
DECODER = "decoder_model_merged.onnx"
TOKENIZER = "tokenizer.json"

MAX_DURATION_S = 30.0
MIN_AVG_LOGPROB = -1.0
"""Whisper's threshold for text to be doubted."""
MAX_NO_SPEECH_PROBABILITY = 0.6
"""Whisper's threshold: above it, doubted text is taken for invented."""
_TOKENS_PER_S = 10
_TOKENS_OF_ANY_LENGTH = 12
"""More tokens than these were not said: in a short window they are a missed end. Fast Japanese takes
9 in a second, other languages 5."""
FULL_WINDOW_FLAG = "full_window"
"""Not a doubt: the short window's text was doubted, and this one is the full window's."""


class SpecialTokens(msgspec.Struct, frozen=True):
    """Ids of the tokens that steer Whisper."""

    start_of_transcript: int
    end_of_text: int
    no_timestamps: int
    timestamp_begin: int
    no_speech: int
    transcribe: int | None = None
    translate: int | None = None


class WhisperModel(msgspec.Struct, frozen=True):
    """The ``model`` section of a Whisper bundle's manifest."""

    n_mels: int
    n_layers: int
    n_heads: int
    head_dim: int
    vocab_size: int
    n_text_ctx: int
    multilingual: bool
    tokens: SpecialTokens
    languages: dict[str, int]
    suppress_tokens: list[int]
    begin_suppress_tokens: list[int]
    window: Window = Window()


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What came of one window."""

    text: str
    language: str
    language_probability: float | None
    avg_logprob: float
    flags: tuple[str, ...]


class WhisperRecognizer:
    """Runs a bundle of the family ``whisper``."""

    def __init__(self, bundle: Bundle, *, n_threads: int) -> None:
        self.bundle = bundle
        try:
            self.model = msgspec.convert(bundle.manifest.model, WhisperModel)
        except msgspec.ValidationError as error:
            raise BundleError(
                f"bundle {bundle.name}: its manifest is incomplete ({error})"
            ) from error
        self._tokenizer = Tokenizer(bundle.path(TOKENIZER))
        self._encoder = open_session(bundle, ENCODER, n_threads=n_threads)
        self._decoder = open_session(bundle, DECODER, n_threads=n_threads)
        self._never = np.asarray(self.model.suppress_tokens, dtype=np.intp)
        self._never_first = np.asarray(self.model.begin_suppress_tokens, dtype=np.intp)

    def transcribe(self, waveform: Waveform, request: Request) -> Recognition:
        """Recognize one utterance; see :class:`edge_asr.recognizers.Recognizer`."""
        self.check(request)
        return in_pieces(waveform, MAX_DURATION_S, lambda sound: self._transcribe(sound, request))

    def check(self, request: Request) -> None:
        """Check a request; see :class:`edge_asr.recognizers.Recognizer`."""
        self.bundle.check(request)

    def partial(
        self,
        waveform: Waveform,  # noqa: ARG002
        request: Request,  # noqa: ARG002
        previous: PartialText | None,  # noqa: ARG002
    ) -> PartialText | None:
        """Return None: there is no text before the decoder has run."""
        return None

    def _transcribe(self, waveform: Waveform, request: Request) -> Recognition:
        """Recognize at most 30 s."""
        started = time.perf_counter()
        n_frames = self.model.window.n_frames(len(waveform))
        attempt = self._attempt(waveform, request, n_frames)
        if attempt.flags and n_frames < FULL_WINDOW:
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
        )

    def _attempt(self, waveform: Waveform, request: Request, n_frames: int) -> _Attempt:
        decoder = _WhisperDecoder(self._decoder, self.model, self._encode(waveform, n_frames))
        logits = decoder.feed([self.model.tokens.start_of_transcript])
        no_speech = _probability(logits, self.model.tokens.no_speech)
        language, probability = self._language(logits, request)
        decoded = greedy(
            decoder,
            decoder.feed(self._prompt(language, request.task)),
            end_token=self.model.tokens.end_of_text,
            max_tokens=self._max_tokens(len(waveform), n_frames),
            logit_filter=self._suppress,
        )
        text, flags = self._judge(decoded, no_speech)
        return _Attempt(text, language, probability, decoded.avg_logprob, flags)

    def _encode(self, waveform: Waveform, n_frames: int) -> dict[str, Tensor]:
        """Return the cross-attention keys and values, named as the decoder takes them."""
        features = log_mel_spectrogram(
            waveform,
            n_mels=self.model.n_mels,
            n_frames=FEATURES_PER_FRAME * n_frames,
        )
        present = self._encoder.run(
            {"input_features": tensor(features)},
            self._encoder.output_names,
        )
        return {_as_past(name): value for name, value in present.items()}

    def _language(self, logits: Logits, request: Request) -> tuple[str, float | None]:
        """Return the language to decode in, and its probability when it was detected."""
        if not self.model.multilingual:
            return "en", None
        if request.language is not None:
            return request.language, None
        codes = request.allowed_languages or tuple(self.model.languages)
        among = logits[[self.model.languages[code] for code in codes]]
        weights = np.exp(among - among.max())
        best = int(weights.argmax())
        return codes[best], float(weights[best] / weights.sum())

    def _prompt(self, language: str, task: Task) -> list[int]:
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

    def _suppress(self, logits: Logits, n_decoded: int) -> None:
        logits[self._never] = -np.inf
        logits[self.model.tokens.timestamp_begin :] = -np.inf
        if n_decoded == 0:
            logits[self._never_first] = -np.inf

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


class _WhisperDecoder:
    """The decoder graph with the cache of one utterance."""

    def __init__(self, session: Session, model: WhisperModel, cross: dict[str, Tensor]) -> None:
        self._session = session
        self._cross = cross
        empty = np.zeros((1, model.n_heads, 0, model.head_dim), dtype=np.float32)
        self._past = {
            name: tensor(empty)
            for name in session.input_names
            if name.startswith("past_key_values.") and name not in cross
        }

    def feed(self, token_ids: Sequence[int]) -> Logits:
        input_ids = tensor(np.asarray([token_ids], dtype=np.int64))
        outputs = self._session.run(
            {"input_ids": input_ids, **self._past, **self._cross},
            self._session.output_names,
        )
        logits: Logits = outputs.pop("logits").numpy()[0, -1]
        self._past = {_as_past(name): value for name, value in outputs.items()}
        return logits


def _as_past(name: str) -> str:
    """Return the input that takes the output ``name`` back in."""
    return name.replace("present.", "past_key_values.", 1)


def _probability(logits: Logits, token: int) -> float:
    peak = logits.max()
    return float(np.exp(logits[token] - peak) / np.exp(logits - peak).sum())
