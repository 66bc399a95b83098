"""Times Transformers' own Granite Speech on the CPU, the way its users run it."""

from __future__ import annotations

import os
from time import perf_counter
from typing import TYPE_CHECKING, Any

import torch
from transformers import GraniteSpeechForConditionalGeneration
from transformers.generation.streamers import BaseStreamer

from benchmarks.granite_job import Answer, ClipTimes
from benchmarks.memory import memory_of
from edge_asr.audio import read_flac
from edge_asr.recognizers.tokenizer import Tokenizer
from export.granite_original import granite_features

if TYPE_CHECKING:
    from benchmarks.granite_job import Clip, Job


def run(job: Job) -> Answer:
    """Load the checkpoint and time every clip, after one that is not counted."""
    torch.set_num_threads(job.n_threads)
    started = perf_counter()
    model = GraniteSpeechForConditionalGeneration.from_pretrained(
        job.model, dtype=getattr(torch, job.dtype), local_files_only=True
    ).eval()
    load_s = perf_counter() - started
    ids = Tokenizer(job.model / "tokenizer.json").encode(job.prompt)
    _time(model, ids, job.clips[0])
    found = [_time(model, ids, clip) for clip in job.clips]
    return Answer(load_s, found, memory_of(os.getpid()))


def _time(model: GraniteSpeechForConditionalGeneration, prompt: list[int], clip: Clip) -> ClipTimes:
    waveform = read_flac(clip.path)
    clock = _Clock(model)
    started = perf_counter()
    features = torch.from_numpy(granite_features(waveform)).to(model.dtype)
    window = model.config.window_size
    n_audio = -(-features.shape[1] // window) * (window // model.config.downsample_rate)
    place = prompt.index(model.config.audio_token_id)
    spread = [*prompt[:place], *[prompt[place]] * n_audio, *prompt[place + 1 :]]
    with torch.inference_mode(), clock:
        model.generate(
            input_ids=torch.tensor([spread]),
            input_features=features,
            attention_mask=torch.ones(1, len(spread), dtype=torch.long),
            do_sample=False,
            num_beams=1,
            min_new_tokens=clip.n_tokens,
            max_new_tokens=clip.n_tokens,
            streamer=clock,
        )
    return ClipTimes(
        duration_s=clip.duration_s,
        n_tokens=clip.n_tokens,
        encoder_s=clock.encoded - started,
        prefill_s=clock.tokens[0] - clock.encoded,
        decode_s=clock.tokens[-1] - clock.tokens[0],
    )


class _Clock(BaseStreamer):  # type: ignore[misc]  # transformers is not read by mypy
    """Notes when the encoder is done, and when each token is there."""

    def __init__(self, model: GraniteSpeechForConditionalGeneration) -> None:
        self._model = model
        self._is_prompt = True
        self.encoded = 0.0
        self.tokens: list[float] = []

    def __enter__(self) -> None:
        encode = self._model.get_audio_features

        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (whatever the model takes)
            features = encode(*args, **kwargs)
            self.encoded = perf_counter()
            return features

        self._model.get_audio_features = timed

    def __exit__(self, *_error: object) -> None:
        del self._model.get_audio_features  # the class's own shows again

    def put(self, _value: torch.Tensor) -> None:
        """Take the prompt, which Transformers gives first, or a token."""
        if not self._is_prompt:
            self.tokens.append(perf_counter())
        self._is_prompt = False

    def end(self) -> None:
        """Do nothing: the text is not looked at."""
