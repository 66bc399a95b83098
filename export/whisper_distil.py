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

import itertools
import math
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from transformers.modeling_outputs import BaseModelOutput

from edge_asr.recognizers.features import log_mel_spectrogram
from edge_asr.recognizers.whisper_hearing import most_said
from edge_asr.recognizers.whisper_window import FEATURES_PER_FRAME, FRAME_SAMPLES, FULL_WINDOW
from export.whisper_adapter import Adapter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from transformers import WhisperForConditionalGeneration

    from export.whisper_pieces import Piece

_MARGINS = (0.5, 2.0)
"""How much a student hears behind an utterance, beside what the bundles will have: a window is
rounded up, and more is heard behind the shorter of a batch."""
_BATCH = 4
_HEARD_AT_ONCE = 8
_WARM_UP = 20
LEARNING_RATE = 1e-3
"""Of an adapter that begins with nothing."""
GENTLE_RATE = 3e-4
"""Of one that goes on: at 5e-4, what it had learnt was lost before it had learnt more."""
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
    """A Whisper with its full window. It hears several pieces at once, in bfloat16."""

    def __init__(self, model: WhisperForConditionalGeneration) -> None:
        self._model = model
        self._settings = model.generation_config

    def teach(self, pieces: Iterable[Piece]) -> Iterator[Lesson]:
        """Yield a lesson for each piece in which the teacher hears words."""
        waiting = iter(pieces)
        while batch := list(itertools.islice(waiting, _HEARD_AT_ONCE)):
            features = torch.cat([self._features(piece) for piece in batch])
            with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
                encoded = self._model.model.encoder(features)
                prompts = self._prompts(encoded, [piece.language for piece in batch])
                n_longest = max(len(piece.waveform) for piece in batch)
                texts = self._listen(encoded, prompts, most_said(n_longest))
                padded = _padded([[*p, *t] for p, t in zip(prompts, texts, strict=True)])
                hidden = self._model.model.decoder(
                    input_ids=padded.clamp(min=0),
                    encoder_hidden_states=encoded.last_hidden_state,
                ).last_hidden_state
            for index, (piece, prompt, text) in enumerate(zip(batch, prompts, texts, strict=True)):
                if not 0 < len(text) < most_said(len(piece.waveform)):
                    continue  # nothing was heard, or the thread was lost
                n_frames = math.ceil(len(piece.waveform) / FRAME_SAMPLES)
                token_ids = [*prompt, *text]
                kept = hidden[index, : len(token_ids)].half().clone()
                heard = features[index : index + 1].half()
                yield Lesson(heard, n_frames, token_ids, len(prompt), kept, piece)

    def _features(self, piece: Piece) -> torch.Tensor:
        n_mels = self._model.config.num_mel_bins
        n_features = FEATURES_PER_FRAME * FULL_WINDOW
        return torch.from_numpy(
            log_mel_spectrogram(piece.waveform, n_mels=n_mels, n_frames=n_features)
        )

    def _listen(
        self, encoded: BaseModelOutput, prompts: list[list[int]], n_most: int
    ) -> list[list[int]]:
        """Return the greedy texts behind the prompts, of at most so many tokens."""
        found = self._model.generate(
            encoder_outputs=encoded,
            decoder_input_ids=torch.tensor(prompts),
            do_sample=False,
            num_beams=1,
            max_new_tokens=min(n_most, _most_tokens(self._model)),
            return_dict_in_generate=True,  # without it, the prompt is left out of what it returns
        ).sequences.tolist()
        end: int = self._settings.eos_token_id
        texts = [row[len(prompt) :] for row, prompt in zip(found, prompts, strict=True)]
        return [list(itertools.takewhile(lambda token: token != end, text)) for text in texts]

    def _prompts(
        self, encoded: BaseModelOutput, languages: Sequence[str | None]
    ) -> list[list[int]]:
        """Return the prompt of each: a language that is not known is detected."""
        start: int = self._model.config.decoder_start_token_id
        no_times: int = self._settings.no_timestamps_token_id
        if not self._settings.is_multilingual:
            return [[start, no_times] for _ in languages]
        detected = self._model.detect_language(encoder_outputs=encoded).tolist()
        task: int = self._settings.task_to_id["transcribe"]
        ids: dict[str, int] = self._settings.lang_to_id
        spoken = [
            ids.get(f"<|{language}|>", found)
            for language, found in zip(languages, detected, strict=True)
        ]
        return [[start, token, task, no_times] for token in spoken]


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
        padded = _padded([each.token_ids for each in lessons])
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
        with torch.inference_mode():
            with torch.autocast("cpu", dtype=torch.bfloat16):
                encoded = self._encode(features)
            # Token by token, converting the weights each time would take longer than it saves.
            found = self._model.generate(
                encoder_outputs=BaseModelOutput(encoded.float()),
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
    margin: int,
    n_steps: int,
    seed: int,
    rate: float,
    observe: Callable[[int, float], None],
) -> None:
    """Train the student's adapter with AdamW, a short warm-up and a linear decay.

    Args:
        student: what is trained.
        lessons: pieces of similar length are heard together.
        margin: frames of 20 ms behind an utterance that bundles will have: the student hears
            between half and twice as many.
        n_steps: of a few lessons each.
        seed: of the order and the margins.
        rate: the largest learning rate.
        observe: is told the step and its loss.
    """
    chance = random.Random(seed)  # noqa: S311 (not for secrets)
    ordered = sorted(lessons, key=lambda lesson: lesson.n_frames)
    margins = [round(share * margin) for share in _MARGINS]
    parameters = list(student.adapter.parameters())
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.0)
    for step in range(n_steps):
        scale = min(1.0, (step + 1) / _WARM_UP) * (1.0 - step / n_steps)
        for group in optimizer.param_groups:
            group["lr"] = rate * scale
        first = chance.randrange(max(1, len(ordered) - _BATCH + 1))
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = student.loss(ordered[first : first + _BATCH], chance.randint(*margins))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, _LARGEST_GRADIENT)
        optimizer.step()
        observe(step, float(loss.detach()))


def _padded(rows: Sequence[Sequence[int]]) -> torch.Tensor:
    """Return rows of token ids as one tensor, ``_IGNORED`` behind the shorter ones."""
    tensors = [torch.tensor(row) for row in rows]
    padded: torch.Tensor = nn.utils.rnn.pad_sequence(
        tensors, batch_first=True, padding_value=_IGNORED
    )
    return padded


def _most_tokens(model: WhisperForConditionalGeneration) -> int:
    """Return how many tokens a text may have, as Whisper's own decoder has it."""
    return int(model.config.max_target_positions) // 2
