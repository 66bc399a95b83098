"""Times Transformers' own Granite Speech on the CPU, the way its users run it."""

from __future__ import annotations

import os
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
    from benchmarks.granite_job import Clip, Clock, Job


def run(job: Job) -> Answer:
    """Load the checkpoint and time every clip, after one that is not counted."""
    torch.set_num_threads(job.n_threads)
    started = job.clock.now_s()
    model = GraniteSpeechForConditionalGeneration.from_pretrained(
        job.model, dtype=getattr(torch, job.dtype), local_files_only=True
    ).eval()
    load_s = job.clock.now_s() - started
    ids = Tokenizer(job.model / "tokenizer.json").encode(job.prompt)
    _time(model, ids, job.clips[0], job.clock)
    found = [_time(model, ids, clip, job.clock) for clip in job.clips]
    return Answer(load_s, found, memory_of(os.getpid()))


def _time(
    model: GraniteSpeechForConditionalGeneration, prompt: list[int], clip: Clip, clock: Clock
) -> ClipTimes:
    waveform = read_flac(clip.path)
    noted = _Moments(model, clock)
    started = clock.now_s()
    features = torch.from_numpy(granite_features(waveform)).to(model.dtype)
    window = model.config.window_size
    n_audio = -(-features.shape[1] // window) * (window // model.config.downsample_rate)
    place = prompt.index(model.config.audio_token_id)
    spread = [*prompt[:place], *[prompt[place]] * n_audio, *prompt[place + 1 :]]
    with torch.inference_mode(), noted:
        model.generate(
            input_ids=torch.tensor([spread]),
            input_features=features,
            attention_mask=torch.ones(1, len(spread), dtype=torch.long),
            do_sample=False,
            num_beams=1,
            min_new_tokens=clip.n_tokens,
            max_new_tokens=clip.n_tokens,
            streamer=noted,
        )
    return ClipTimes(
        duration_s=clip.duration_s,
        n_tokens=clip.n_tokens,
        encoder_s=noted.encoded - started,
        prefill_s=noted.tokens[0] - noted.encoded,
        decode_s=noted.tokens[-1] - noted.tokens[0],
    )


class _Moments(BaseStreamer):  # type: ignore[misc]  # transformers is not read by mypy
    """Notes when the encoder is done, and when each token is there."""

    def __init__(self, model: GraniteSpeechForConditionalGeneration, clock: Clock) -> None:
        self._model = model
        self._clock = clock
        self._is_prompt = True
        self.encoded = 0.0
        self.tokens: list[float] = []

    def __enter__(self) -> None:
        encode = self._model.get_audio_features

        def timed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 (whatever the model takes)
            features = encode(*args, **kwargs)
            self.encoded = self._clock.now_s()
            return features

        self._model.get_audio_features = timed

    def __exit__(self, *_error: object) -> None:
        del self._model.get_audio_features  # the class's own shows again

    def put(self, _value: torch.Tensor) -> None:
        """Take the prompt, which Transformers gives first, or a token."""
        if not self._is_prompt:
            self.tokens.append(self._clock.now_s())
        self._is_prompt = False

    def end(self) -> None:
        """Do nothing: the text is not looked at."""
