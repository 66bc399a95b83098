"""Granite Speech: log-mel features -> encoder -> a draft and audio features -> language model.

The encoder gives two things: audio features, which take the place of the prompt's audio token, and
the CTC head's text. That text is a judgement of its own: where it is empty nobody spoke, and the
language model, which would invent something, is not asked. Elsewhere it is the draft that speeds
the language model up, and it says when each word was spoken.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.recognizers.ctc import read_ctc
from edge_asr.recognizers.ctc_alignment import word_times
from edge_asr.recognizers.decoding import MAX_COMPRESSION_RATIO, compression_ratio
from edge_asr.recognizers.granite_bundle import (
    ENCODER,
    TOKENIZER,
    open_decoder,
    open_table,
    read_model,
)
from edge_asr.recognizers.granite_features import FRAME_S, granite_features
from edge_asr.recognizers.granite_prompts import Prompts
from edge_asr.recognizers.likeness import is_unlike
from edge_asr.recognizers.pieces import in_pieces
from edge_asr.recognizers.relaxed import relaxed
from edge_asr.recognizers.speculative import Draft, speculative
from edge_asr.recognizers.tokenizer import Tokenizer
from edge_asr.records import SAMPLE_RATE, Drafts, PartialText, Recognition, Task
from edge_asr.sessions import open_session, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.bundle import Bundle
    from edge_asr.recognizers.ctc import CtcLogits, CtcReading
    from edge_asr.recognizers.decoding import Decoded
    from edge_asr.recognizers.granite_decoder import Embeddings
    from edge_asr.recognizers.granite_prompts import Prompt
    from edge_asr.records import Request, Waveform, Word

UNDETERMINED = "und"
"""ISO 639-2 for a language that nobody named."""
MIN_TOKENS = 64
TOKENS_PER_S = 8
"""Twice what fast speech takes: text beyond it was not said."""


class GraniteRecognizer:
    """Runs a bundle of the family ``granite``."""

    def __init__(self, bundle: Bundle, *, n_threads: int) -> None:
        """Open the bundle.

        Args:
            bundle: a verified one.
            n_threads: of each graph.

        Raises:
            BundleError: the bundle is incomplete, or its graphs cannot be loaded.
        """
        self.bundle = bundle
        self.model = model = read_model(bundle)
        self._tokenizer = Tokenizer(bundle.path(TOKENIZER))
        self._prompts = Prompts(
            self._tokenizer,
            model.prompt,
            model.instructions,
            model.language_names,
            bundle_name=bundle.name,
        )
        self._table = open_table(bundle, model)
        self._encoder = open_session(bundle, ENCODER, n_threads=n_threads)
        self._decoder = open_decoder(bundle, model, self._table, n_threads=n_threads)

    def transcribe(self, waveform: Waveform, request: Request) -> Recognition:
        """Recognize one utterance; see :class:`edge_asr.recognizers.Recognizer`."""
        self.check(request)
        prompt = self._prompts.prompt(request)
        return in_pieces(
            waveform, self.model.max_audio_s, lambda sound: self._transcribe(sound, prompt, request)
        )

    def check(self, request: Request) -> None:
        """Check a request; see :class:`edge_asr.recognizers.Recognizer`."""
        self.bundle.check(request)
        self._prompts.prompt(request)

    def partial(
        self, waveform: Waveform, request: Request, previous: PartialText | None
    ) -> PartialText | None:
        """Return the CTC head's text, which takes the encoder and no more."""
        if request.task is Task.TRANSLATE:
            return None
        if len(waveform) > self.model.max_audio_s * SAMPLE_RATE:
            return previous
        heard = self._hear(waveform)
        return PartialText(heard.ctc.text if heard is not None else "", len(waveform))

    def _transcribe(self, sound: Waveform, prompt: Prompt, request: Request) -> Recognition:
        """Recognize what can be heard at once."""
        started = time.perf_counter()
        flags = ["keywords_left_out"] if prompt.n_keywords_left_out else []
        heard = self._hear(sound)
        if heard is None or not heard.ctc.text:
            return _recognition(request, started, flags=[*flags, "no_speech"], heard=heard)
        if _is_certain(heard.ctc, request):
            text, avg_logprob = heard.ctc.text, None
            flags.append("ctc_text")
        else:
            decoded, is_draft = self._decode(prompt, heard, request, len(sound) / SAMPLE_RATE)
            text, avg_logprob = self._tokenizer.decode(decoded.token_ids), decoded.avg_logprob
            flags += [
                *_doubts(decoded, text, heard.ctc, request.task),
                *(["draft_accepted"] if is_draft else []),
            ]
        return _recognition(
            request,
            started,
            text=text,
            avg_logprob=avg_logprob,
            flags=flags,
            words=self._words(heard, request.task, text),
            heard=heard,
        )

    def _hear(self, sound: Waveform) -> _Heard | None:
        """Return what the encoder makes of sound, or None for digital silence."""
        if not sound.any():
            return None
        audio_features, ctc_logits = self._encode(sound)
        return _Heard(audio_features, ctc_logits, read_ctc(ctc_logits, self.model.ctc))

    def _encode(self, sound: Waveform) -> tuple[Embeddings, CtcLogits]:
        model = self.model
        features = granite_features(
            sound,
            n_mels=model.n_mels,
            n_fft=model.n_fft,
            win_length=model.win_length,
            hop_length=model.hop_length,
        )
        n_frames = features.shape[1]
        outputs = self._encoder.run(
            {
                "input_features": tensor(features),
                "frame_lengths": tensor(np.array([n_frames], dtype=np.int64)),
            },
            ["audio_features", "ctc_logits"],
            give_back=True,
        )
        n_tokens = -(-n_frames // model.projector_window) * model.projector_tokens
        audio_features: Embeddings = outputs["audio_features"].numpy()[:, :n_tokens]
        ctc_logits: CtcLogits = outputs["ctc_logits"].numpy()[0, :n_frames]
        return audio_features, ctc_logits

    def _decode(
        self, prompt: Prompt, heard: _Heard, request: Request, duration_s: float
    ) -> tuple[Decoded, bool]:
        """Return what the language model says, and whether that is the draft, taken as it is."""
        before, after = self._table.embed(prompt.before), self._table.embed(prompt.after)
        embeddings = np.concatenate([before, heard.audio_features, after], axis=1)
        budget = max(MIN_TOKENS, round(TOKENS_PER_S * duration_s))
        max_tokens = min(budget, self.model.max_positions - embeddings.shape[1])
        # A translation says it in other words.
        is_draft = request.drafting.mode is not Drafts.OFF and request.task is not Task.TRANSLATE
        draft = self._tokenizer.encode(heard.ctc.text) if is_draft else []
        end_token = self.model.end_of_text_id
        if _may_be_text(heard.ctc, request) and len(draft) < max_tokens:
            self._decoder.prefill(embeddings[:, :-1], max_tokens=max_tokens + 1)
            return relaxed(
                self._decoder,
                prompt.after[-1],
                draft,
                end_token=end_token,
                max_tokens=max_tokens,
                threshold=request.drafting.draft_probability_threshold,
            )
        first = self._decoder.prefill(embeddings, max_tokens=max_tokens)
        decoded = speculative(
            self._decoder, first, Draft(draft), end_token=end_token, max_tokens=max_tokens
        )
        return decoded, False

    def _words(self, heard: _Heard, task: Task, text: str) -> tuple[Word, ...]:
        """Return when each word was said, where the text is what was said."""
        if task is Task.TRANSLATE:
            return ()
        return word_times(heard.ctc_logits, text, self.model.ctc, frame_s=FRAME_S)


@dataclass(frozen=True, slots=True)
class _Heard:
    """What the encoder makes of sound."""

    audio_features: Embeddings
    ctc_logits: CtcLogits
    ctc: CtcReading


def _recognition(
    request: Request,
    started: float,
    *,
    flags: Sequence[str],
    heard: _Heard | None,
    text: str = "",
    avg_logprob: float | None = None,
    words: tuple[Word, ...] = (),
) -> Recognition:
    return Recognition(
        text=text,
        language=_language(request),
        language_probability=None,
        task=request.task,
        decode_s=time.perf_counter() - started,
        avg_logprob=avg_logprob,
        flags=tuple(flags),
        words=words,
        ctc_max_entropy=heard.ctc.max_entropy if heard is not None else None,
    )


def _language(request: Request) -> str:
    """Return the language that was asked for: the model does not say what it hears."""
    if request.language is not None:
        return request.language
    allowed = request.allowed_languages
    return allowed[0] if len(allowed) == 1 else UNDETERMINED


def _may_be_text(ctc: CtcReading, request: Request) -> bool:
    """Return whether a draft may be taken for the text.

    The head writes lower case without punctuation, and Japanese as it sounds: where something else
    is asked for, its text is a draft and no more.
    """
    asks_more = request.punctuated or request.keywords or request.task is Task.TRANSLATE
    return request.drafting.mode is Drafts.FAST and not asks_more and not ctc.has_katakana


def _is_certain(ctc: CtcReading, request: Request) -> bool:
    """Return whether the draft is the text, and the language model need not be asked."""
    if ctc.max_entropy is None or not _may_be_text(ctc, request):
        return False
    return ctc.max_entropy <= request.drafting.ctc_entropy_threshold


def _doubts(decoded: Decoded, text: str, ctc: CtcReading, task: Task) -> list[str]:
    """Return the reasons to doubt a text. A translation and kanji cannot be held against CTC's."""
    doubts = list(decoded.flags)
    if not doubts and compression_ratio(text) > MAX_COMPRESSION_RATIO:
        doubts.append("repetition")
    if task is Task.TRANSCRIBE and not ctc.has_katakana and is_unlike(text, ctc.text):
        doubts.append("unlike_ctc")
    return doubts
