"""Self-distillation: a Whisper learns to give in a short window what it gives in its full one.

Whisper was trained on windows of 30 s. When the window is cut to the utterance it goes on after
the end, mostly by saying it again. The remedy needs no transcripts: the teacher is the model itself
with its full window; the student, an adapter beside the same weights, hears as many frames as the
utterance has and a margin that is drawn anew each time. What is compared is the distribution of
every next token, that of the end among them (Kullback-Leibler divergence, teacher to student).
FUTO's ACFT (https://github.com/futo-org/whisper-acft) is the published relative; it compares hidden
states.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from edge_asr.recognizers.features import log_mel_spectrogram
from edge_asr.recognizers.whisper_window import FEATURES_PER_FRAME, FRAME_SAMPLES, FULL_WINDOW
from export.whisper_adapter import Adapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from transformers import WhisperForConditionalGeneration

    from export.whisper_pieces import Piece

MARGINS = (8, 16, 32, 64, 128)
"""Frames of 20 ms behind the utterance that a student may hear."""
_BATCH = 4
_WARM_UP = 20
_LEARNING_RATE = 1e-3
_LARGEST_GRADIENT = 1.0
_IGNORED = -100


@dataclass(frozen=True, slots=True)
class Lesson:
    """A piece of speech and what the teacher makes of it."""

    features: torch.Tensor
    """Of the whole window, ``(1, n_mels, 3000)``, float16: two frames for one of the encoder's."""
    n_frames: int
    """Frames of 20 ms that are sound."""
    token_ids: list[int]
    """What the decoder is fed: the prompt, then the teacher's text."""
    n_prompt: int
    """How many of them are the prompt."""
    hidden: torch.Tensor
    """The teacher's answers before the head, ``(n_tokens, width)``, float16."""
    piece: Piece


class Teacher:
    """A Whisper with its full window."""

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        self._model = model
        self._settings = model.generation_config

    def teach(self, pieces: Iterable[Piece]) -> Iterator[Lesson]:
        """Yield a lesson for each piece in which the teacher hears words."""
        for piece in pieces:
            features = torch.from_numpy(
                log_mel_spectrogram(
                    piece.waveform,
                    n_mels=self._model.config.num_mel_bins,
                    n_frames=FEATURES_PER_FRAME * FULL_WINDOW,
                ),
            )
            with torch.inference_mode():
                encoded = self._model.model.encoder(features)
                token_ids, n_prompt = self._listen(encoded, piece.language)
                if len(token_ids) == n_prompt:
                    continue
                hidden = self._model.model.decoder(
                    input_ids=torch.tensor([token_ids]),
                    encoder_hidden_states=encoded.last_hidden_state,
                ).last_hidden_state[0]
            n_frames = math.ceil(len(piece.waveform) / FRAME_SAMPLES)
            kept = hidden.half().clone()
            yield Lesson(features.half(), n_frames, token_ids, n_prompt, kept, piece)

    def _listen(self, encoded: object, language: str | None) -> tuple[list[int], int]:
        """Return the prompt with the greedy text behind it, and how long the prompt is."""
        multilingual = bool(self._settings.is_multilingual)
        known = f"<|{language}|>" in getattr(self._settings, "lang_to_id", {})
        asked = {"language": language if known else None, "task": "transcribe"}
        found = self._model.generate(
            encoder_outputs=encoded,
            do_sample=False,
            num_beams=1,
            max_new_tokens=_most_tokens(self._model),
            return_dict_in_generate=False,
            **(asked if multilingual else {}),
        )[0].tolist()
        n_prompt = 4 if multilingual else 2
        start: int = self._model.config.decoder_start_token_id
        if found[0] != start:  # Transformers leaves the prompt out of what it returns
            detected = self._prompt(language, encoded)
            found = [*detected, *found]
        end: int = self._settings.eos_token_id
        text = found[n_prompt:]
        text = text[: text.index(end)] if end in text else text
        return [*found[:n_prompt], *text], n_prompt

    def _prompt(self, language: str | None, encoded: object) -> list[int]:
        start: int = self._model.config.decoder_start_token_id
        no_times: int = self._settings.no_timestamps_token_id
        if not self._settings.is_multilingual:
            return [start, no_times]
        key = f"<|{language}|>"
        if key in self._settings.lang_to_id:
            spoken = self._settings.lang_to_id[key]
        else:
            spoken = int(self._model.detect_language(encoder_outputs=encoded)[0])
        return [start, spoken, self._settings.task_to_id["transcribe"], no_times]


class Student:
    """The same weights with an adapter, hearing short windows."""

    def __init__(self, model: WhisperForConditionalGeneration, *, rank: int) -> None:
        self._model = model
        self._head = model.proj_out.weight.detach()
        self.adapter = Adapter(model.model, rank)

    def loss(self, lessons: Sequence[Lesson], margin: int) -> torch.Tensor:
        """Return the mean divergence from the teacher, over all tokens of some lessons."""
        n_frames = min(max(each.n_frames for each in lessons) + margin, FULL_WINDOW)
        heard = FEATURES_PER_FRAME * n_frames
        features = torch.cat([each.features[:, :, :heard].float() for each in lessons])
        ids = [torch.tensor(each.token_ids) for each in lessons]
        padded = nn.utils.rnn.pad_sequence(ids, batch_first=True, padding_value=_IGNORED)
        real = padded != _IGNORED
        decoded = self._model.model.decoder(
            input_ids=padded.clamp(min=0),
            encoder_hidden_states=self._encode(features),
        ).last_hidden_state[real]
        taught = torch.cat([each.hidden.float() for each in lessons])
        with torch.no_grad():
            wanted = torch.log_softmax(taught @ self._head.T, dim=-1)
        found = torch.log_softmax(decoded.float() @ self._head.T, dim=-1)
        divergence: torch.Tensor = nn.functional.kl_div(
            found, wanted, reduction="batchmean", log_target=True
        )
        return divergence

    def token_ids(self, lesson: Lesson, margin: int) -> list[int]:
        """Return the greedy text in a short window, without end and special tokens."""
        n_frames = min(lesson.n_frames + margin, FULL_WINDOW)
        features = lesson.features[:, :, : FEATURES_PER_FRAME * n_frames].float()
        end: int = self._model.generation_config.eos_token_id
        with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
            found = self._model.generate(
                encoder_outputs=BaseModelOutput(self._encode(features)),
                decoder_input_ids=torch.tensor([lesson.token_ids[: lesson.n_prompt]]),
                do_sample=False,
                num_beams=1,
                max_new_tokens=min(2 * len(lesson.token_ids) + 16, _most_tokens(self._model)),
            )[0]
        return [token for token in found.tolist() if token < end]

    def _encode(self, features: torch.Tensor) -> torch.Tensor:
        """Encode a window of any length, which Transformers' own encoder refuses."""
        encoder = self._model.model.encoder
        hidden = nn.functional.gelu(encoder.conv1(features))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        for layer in encoder.layers:
            hidden = layer(hidden, attention_mask=None, layer_head_mask=None)[0]
        normed: torch.Tensor = encoder.layer_norm(hidden)
        return normed


def train(
    student: Student,
    lessons: Sequence[Lesson],
    *,
    n_steps: int,
    seed: int,
    observe: Callable[[int, float], None],
) -> None:
    """Train the student's adapter with AdamW, a short warm-up and a linear decay.

    Args:
        student: what is trained.
        lessons: pieces of similar length are heard together.
        n_steps: of a few lessons each.
        seed: of the order and the margins.
        observe: is told the step and its loss.
    """
    chance = random.Random(seed)  # noqa: S311 (not for secrets)
    ordered = sorted(lessons, key=lambda lesson: lesson.n_frames)
    parameters = list(student.adapter.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=_LEARNING_RATE, weight_decay=0.0)
    for step in range(n_steps):
        rate = _LEARNING_RATE * min(1.0, (step + 1) / _WARM_UP) * (1.0 - step / n_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        first = chance.randrange(max(1, len(ordered) - _BATCH + 1))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = student.loss(ordered[first : first + _BATCH], chance.choice(MARGINS))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)
        optimizer.step()
        observe(step, float(loss.detach()))


def _most_tokens(model: WhisperForConditionalGeneration) -> int:
    """Return how many tokens a text may have, as Whisper's own decoder has it."""
    return int(model.config.max_target_positions) // 2
