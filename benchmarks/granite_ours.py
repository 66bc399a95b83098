"""Times the parts of this project's own Granite recognizer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.granite_job import SHARES_RIGHT, VERIFIED, Answer, ClipTimes, DraftTime
from benchmarks.memory import memory_of
from edge_asr.audio import read_flac
from edge_asr.bundle import open_bundle
from edge_asr.recognizers import decoding
from edge_asr.recognizers.granite_bundle import (
    ENCODER,
    TOKENIZER,
    open_decoder,
    open_table,
    read_model,
)
from edge_asr.recognizers.granite_features import granite_features
from edge_asr.recognizers.speculative import Draft, speculative
from edge_asr.recognizers.tokenizer import Tokenizer
from edge_asr.sessions import open_session, tensor

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.granite_job import Clip, Job
    from edge_asr.recognizers.granite_decoder import Embeddings
    from edge_asr.records import Waveform

_NO_TOKEN = -1
"""Never found: decoding goes on to its limit."""
_ROOM = max(VERIFIED)


def run(job: Job) -> Answer:
    """Load the bundle and time every clip, after one that is not counted."""
    # Random weights say the same over and over; the guard would end decoding before its time.
    decoding.loop_period = lambda token_ids: 0  # noqa: ARG005 (its name counts for mypy)
    started = job.clock.now_s()
    parts = _Parts(job)
    load_s = job.clock.now_s() - started
    parts.time(job.clips[0])
    found = [parts.time(clip) for clip in job.clips]
    return Answer(load_s, found, memory_of(os.getpid()))


class _Parts:
    """The recognizer's parts, loaded as the recognizer loads them."""

    def __init__(self, job: Job) -> None:
        self._now_s = job.clock.now_s
        bundle = open_bundle(job.model)
        self._model = model = read_model(bundle)
        ids = Tokenizer(bundle.path(TOKENIZER)).encode(job.prompt)
        place = ids.index(Tokenizer(bundle.path(TOKENIZER)).encode(model.prompt.audio_token)[0])
        self._before, self._after = ids[:place], ids[place + 1 :]
        self._table = open_table(bundle, model)
        self._encoder = open_session(bundle, ENCODER, n_threads=job.n_threads)
        self._decoder = open_decoder(bundle, model, self._table, n_threads=job.n_threads)

    def time(self, clip: Clip) -> ClipTimes:
        waveform = read_flac(clip.path)
        started = self._now_s()
        audio_features = self._encode(waveform)
        encoded = self._now_s()
        prompt = self._prompt(audio_features)
        room = clip.n_tokens + _ROOM
        token = self._decoder.prefill(prompt, max_tokens=room).token_id
        prefilled = self._now_s()
        found = [token]
        while len(found) < clip.n_tokens:
            found.append(self._decoder.verify(found[-1:]).choices[0].token_id)
        decoded = self._now_s()
        return ClipTimes(
            duration_s=clip.duration_s,
            n_tokens=clip.n_tokens,
            encoder_s=encoded - started,
            prefill_s=prefilled - encoded,
            decode_s=decoded - prefilled,
            verify_s=[self._verify(found, n_tokens) for n_tokens in VERIFIED],
            drafts=[self._decode_with_draft(prompt, found, share) for share in SHARES_RIGHT],
        )

    def _encode(self, waveform: Waveform) -> Embeddings:
        model = self._model
        features = granite_features(
            waveform,
            n_mels=model.n_mels,
            n_fft=model.n_fft,
            win_length=model.win_length,
            hop_length=model.hop_length,
        )
        lengths = np.array([features.shape[1]], dtype=np.int64)
        outputs = self._encoder.run(
            {"input_features": tensor(features), "frame_lengths": tensor(lengths)},
            ["audio_features", "ctc_logits"],
            give_back=True,
        )
        n_tokens = -(-features.shape[1] // model.projector_window) * model.projector_tokens
        audio_features: Embeddings = outputs["audio_features"].numpy()[:, :n_tokens]
        return audio_features

    def _prompt(self, audio_features: Embeddings) -> Embeddings:
        before, after = self._table.embed(self._before), self._table.embed(self._after)
        return np.concatenate([before, audio_features, after], axis=1)

    def _verify(self, found: Sequence[int], n_tokens: int) -> float:
        """Time one call for several tokens, which are taken back."""
        tokens = (list(found) * n_tokens)[:n_tokens]
        started = self._now_s()
        self._decoder.verify(tokens)
        took_s = self._now_s() - started
        self._decoder.rewind(n_tokens)
        return took_s

    def _decode_with_draft(
        self, prompt: Embeddings, found: Sequence[int], share_right: float
    ) -> DraftTime:
        first = self._decoder.prefill(prompt, max_tokens=len(found) + _ROOM)
        started = self._now_s()
        draft = Draft(spoilt(found, share_right, vocab_size=self._model.vocab_size))
        decoded = speculative(
            self._decoder, first, draft, end_token=_NO_TOKEN, max_tokens=len(found)
        )
        took_s = self._now_s() - started
        return DraftTime(share_right, took_s, list(decoded.token_ids) == list(found))


def spoilt(found: Sequence[int], share_right: float, *, vocab_size: int) -> list[int]:
    """Return tokens of which only a share is right; which ones are wrong is always the same.

    Wrong ones are spread over the whole as evenly as they can be, which helps a draft least.
    """
    n_wrong = round((1 - share_right) * len(found))
    wrong = {int((index + 0.5) * len(found) / n_wrong) for index in range(n_wrong)}
    return [
        (token + 1) % vocab_size if place in wrong else token for place, token in enumerate(found)
    ]
