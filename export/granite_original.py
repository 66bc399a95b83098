"""The original: the checkpoint in torch, run by Transformers. What the graphs are held against."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from edge_asr.records import SAMPLE_RATE
from export.granite_checkpoint import load_whole

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edge_asr.records import Waveform

    Array = np.ndarray[Any, np.dtype[np.float32]]

_N_FFT, _WINDOW, _HOP, _N_MELS = 512, 400, 160, 80
_DYNAMIC_RANGE = 8.0


@dataclass(frozen=True, slots=True)
class Expected:
    """What the original gives for one clip."""

    features: Array
    """``(1, n_frames, 160)``."""
    audio_features: Array
    ctc_logits: Array
    token_ids: list[int]
    """Its greedy tokens, without the end token."""
    logits: Array
    """At the prompt's last position and at each of the tokens: ``(n_tokens + 1, vocab_size)``."""

    def save(self, path: Path) -> None:
        """Write all of it to one file."""
        np.savez(path, **asdict(self))


def load_expected(path: Path) -> Expected:
    """Read what :meth:`Expected.save` wrote."""
    with np.load(path) as arrays:
        kept = {name: arrays[name] for name in arrays.files}
    return Expected(**kept | {"token_ids": kept["token_ids"].tolist()})


class OriginalGranite:
    """A Transformers Granite Speech, in float32."""

    def __init__(self, checkpoint: Path, *, n_threads: int) -> None:
        torch.set_num_threads(n_threads)
        self._model = load_whole(checkpoint)
        self._end = self._model.config.text_config.eos_token_id

    def run(self, waveform: Waveform, prompt: Sequence[int], max_tokens: int) -> Expected:
        """Run the original over one clip.

        Args:
            waveform: 16 kHz, at least 257 samples.
            prompt: token ids, the audio token once.
            max_tokens: where greedy search stops at the latest.
        """
        features = torch.from_numpy(granite_features(waveform))
        with torch.inference_mode():
            hidden = self._model.encoder(features)
            audio_features = self._model.projector(hidden)
            ctc_logits = self._model.encoder.out(hidden)
            ids = self._spread(prompt, audio_features.shape[1])
            found = self._generate(ids, features, max_tokens)
            heard = torch.tensor([[*ids, *found]])
            logits = self._model(
                input_ids=heard,
                input_features=features,
                attention_mask=torch.ones_like(heard),
                logits_to_keep=len(found) + 1,
            ).logits
        return Expected(
            features=features.numpy(),
            audio_features=audio_features.numpy(),
            ctc_logits=ctc_logits.numpy(),
            token_ids=found,
            logits=logits[0].numpy(),
        )

    def token_ids(self, waveform: Waveform, prompt: Sequence[int], max_tokens: int) -> list[int]:
        """Return the greedy tokens for one clip, without the end token."""
        features = torch.from_numpy(granite_features(waveform))
        window = self._model.config.window_size
        n_queries = window // self._model.config.downsample_rate
        ids = self._spread(prompt, -(-features.shape[1] // window) * n_queries)
        with torch.inference_mode():
            return self._generate(ids, features, max_tokens)

    def _spread(self, prompt: Sequence[int], n_audio: int) -> list[int]:
        """Return the prompt with its audio token ``n_audio`` times."""
        audio_id = self._model.config.audio_token_id
        at = list(prompt).index(audio_id)
        return [*prompt[:at], *[audio_id] * n_audio, *prompt[at + 1 :]]

    def _generate(self, ids: list[int], features: torch.Tensor, max_tokens: int) -> list[int]:
        generated = self._model.generate(
            input_ids=torch.tensor([ids]),
            input_features=features,
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            do_sample=False,
            num_beams=1,
            max_new_tokens=max_tokens,
        )
        found: list[int] = generated[0, len(ids) :].tolist()
        return found[:-1] if found and found[-1] == self._end else found


def granite_features(waveform: Waveform) -> Array:
    """Return the features that Transformers' own extractor gives, ``(1, n_frames, 160)``.

    That extractor needs torchaudio; the same, with Transformers' spectrogram in its place.
    """
    log_mel = spectrogram(
        waveform,
        window_function(_WINDOW, "hann"),
        frame_length=_WINDOW,
        hop_length=_HOP,
        fft_length=_N_FFT,
        power=2.0,
        mel_filters=mel_filter_bank(
            num_frequency_bins=_N_FFT // 2 + 1,
            num_mel_filters=_N_MELS,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE / 2,
            sampling_rate=SAMPLE_RATE,
            mel_scale="htk",
        ),
        mel_floor=1e-10,
        log_mel="log10",
    ).T
    scaled = np.maximum(log_mel, log_mel.max() - _DYNAMIC_RANGE) / 4 + 1
    even = scaled[: len(scaled) // 2 * 2]
    stacked: Array = even.reshape(1, -1, 2 * _N_MELS).astype(np.float32)
    return stacked
