"""A small Granite Speech that has learnt the project's own speech sample by heart.

Random weights show that numbers agree, and nothing else: their text is noise, and rounding turns it
into other noise. This model says what was said. Its language model writes each clip's text, or its
translation if that is asked for; its CTC head spells it; on noise it is silent. So a test can ask
what quantization, drafts or silence in front of a clip do to a text.

It is Transformers' own class, 1.4 million parameters, taught in about a minute on two cores:

* **Clips** are moved about in silence and noise, so that the model hears them wherever they are.
  All clips of a batch become equally long that way: Transformers knows no masks for shorter ones.
* **Two terms**, as large models are taught: first the encoder learns to spell, by CTC where a clip
  is, and to be silent elsewhere. Then it stands still, and the projector and the language model
  learn to write, by cross-entropy of the next token.
* **Prompts** matter: some clips have several, each with a text of its own.

The weights are kept under ``build/`` until this file or the sample changes, and never committed.
"""

import copy
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import jiwer
import numpy as np
import torch
import transformers
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from torch.nn import functional
from transformers import (
    GenerationConfig,
    GraniteSpeechConfig,
    GraniteSpeechForConditionalGeneration,
)

from edge_asr.bundle import sha256_of
from edge_asr.recognizers.granite_features import granite_features
from edge_asr.records import SAMPLE_RATE, Request, Task
from export.clips import read_clips, read_waveform
from export.recipe import MODELS, read_recipe
from export.steps import digest, make_once
from tests.granite_checkpoint import SPECIAL

RECIPE = MODELS / "granite-speech-4.1-2b.yaml"
"""It asks for all that Granite can do; 4.0 differs in how it asks for keywords."""
LONGEST_S = 5.6
JAPANESE = "おはようございます"
KANA_SPOKEN = "オハヨウゴザイマス"
TRANSLATED = {
    ("de-synthetic-0", "en"): "good morning the machine in hall three has stopped",
    ("en-confbridge-begin-glorious-b", "de"): "die konferenz beginnt sobald er da ist",
    ("en-confbridge-begin-glorious-b", "fr"): "la conférence va bientôt commencer",
}
LANGUAGES = {"en": "English", "de": "German", "fr": "French"}
KEYWORDS = ("Asterisk", "PBX")
WITH_KEYWORDS = {
    "en-demo-thanks": "goodbye thank you for trying out the Asterisk open source PBX",
}
PUNCTUATED = ("pt-synthetic-1", "en-confbridge-begin-glorious-b")

MOST_MISSPELT = 0.01
"""Share of characters that the CTC head may get wrong."""
_SEED = 3
_STEPS_BETWEEN_CHECKS = 25
_CLIPS_AT_ONCE = 3
_HEARINGS = 24
_BLUR = 0.3
"""Noise added to what is heard while writing is taught, so that little things do not count."""
_N_AROUND = SAMPLE_RATE // 5
"""Samples of silence that every clip has before it, and after it."""
_MOST_ROOM_S = 2.0
"""More of it, at most, that clips are moved about in."""
_FRAME = 320
"""Samples of one of the encoder's frames."""
_QUIET, _NEAR, _SILENCE_WEIGHT = 0.02, 4, 3.0
"""A frame is quiet below this share of a clip's peak, and so many frames away from louder ones."""
_NOISE_FROM, _NORMS_SETTLE = 0.5, 0.6
"""Shares of a term after which there is noise to be silent about, and batch norms stand still."""
_KATAKANA_FIRST, _LATIN_LABELS = 0x30A1, 256
_IGNORED = -100


@dataclass(frozen=True)
class Term:
    """How long one half of the model is taught, and how fast."""

    n_steps: int
    rate: float

    def share_of_rate(self, step):
        """Return the share of the learning rate: it rises, and falls to a fiftieth at the end."""
        done = min(1.0, step / self.n_steps)
        falling = 0.02 + 0.49 * (1 + float(np.cos(np.pi * done)))
        return min(8 * (step + 1) / self.n_steps, falling)


_SPELLING, _WRITING = Term(375, 2e-3), Term(275, 3e-3)


@dataclass(frozen=True)
class Lesson:
    """A clip, what is asked for, and the text that is to follow."""

    clip_id: str
    waveform: np.ndarray
    """The clip with 0.2 s of silence before and after it, as an utterance has."""
    request: Request
    instruction: str
    """What the recipe makes of the request."""
    text: str
    spelt: str
    """What the CTC head is to write: the same for every instruction."""


def lessons(sample):
    """Return all that is taught: of each clip its transcript, and of some more than that.

    Args:
        sample: folder of the project's own speech sample.
    """
    found = [_lesson("japanese", _spoken_japanese(), Request(), JAPANESE, KANA_SPOKEN)]
    for clip in read_clips(sample, ["en", "de", "es", "fr", "pt"]):
        if clip.duration_s > LONGEST_S:
            continue
        name, spelt = clip.path.stem, plain(clip.text)
        asked = [(Request(), spelt)]
        asked += [
            (Request(task=Task.TRANSLATE, language=clip.language, target_language=target), text)
            for (translated, target), text in TRANSLATED.items()
            if translated == name
        ]
        if name in WITH_KEYWORDS:
            asked.append((Request(keywords=KEYWORDS), WITH_KEYWORDS[name]))
        if name in PUNCTUATED:
            asked.append((Request(punctuated=True), clip.text))
        waveform = read_waveform(clip.path)
        found += [_lesson(name, waveform, request, text, spelt) for request, text in asked]
    return found


def _lesson(clip_id, waveform, request, text, spelt):
    told = read_recipe(RECIPE).prompt.instructions
    instruction = told.transcribe
    if request.task is Task.TRANSLATE:
        instruction = told.translate.format(language=LANGUAGES[request.target_language])
    elif request.keywords:
        instruction = told.transcribe_keywords.format(keywords=", ".join(request.keywords))
    elif request.punctuated:
        instruction = told.punctuated
    return Lesson(clip_id, np.pad(waveform, _N_AROUND), request, instruction, text, spelt)


def _spoken_japanese():
    """Return a clip that is spelt in katakana: the sample has none in Japanese."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "spoken.wav"
        subprocess.run(["espeak-ng", "-v", "ja", "-w", str(path), JAPANESE], check=True)
        return read_waveform(path)


def plain(text):
    """Return a text as Granite 4.0 writes it: in lower case, without punctuation."""
    kept = (each for each in text.lower() if each.isalnum() or each in " '")
    return " ".join("".join(kept).split())


def trained_granite(sample):
    """Return the checkpoint's folder. It is trained unless that was done before.

    Args:
        sample: folder of the project's own speech sample.
    """
    folder = sample.parent / "trained-granite"
    learnt_from = (sha256_of(Path(__file__)), sha256_of(sample / "manifest.jsonl"))
    key = digest(*learnt_from, torch.__version__, transformers.__version__)
    make_once(folder, key, lambda part: write_trained_granite(part, sample))
    return folder


def write_trained_granite(folder, sample):
    """Train the model and write it to ``folder``, as a checkpoint in bfloat16.

    Raises:
        RuntimeError: it did not learn what it was taught.
    """
    torch.manual_seed(_SEED)
    taught = lessons(sample)
    tokenizer = _write_tokenizer(folder / "tokenizer.json", taught)
    model = GraniteSpeechForConditionalGeneration(_config(tokenizer))
    text = model.config.text_config
    model.generation_config = GenerationConfig(
        bos_token_id=text.bos_token_id,
        eos_token_id=text.eos_token_id,
        pad_token_id=text.pad_token_id,
    )
    n_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    school = _School(model, tokenizer, taught)
    school.teach_spelling()
    school.teach_writing()
    torch.set_num_threads(n_threads)
    model.bfloat16().save_pretrained(folder)


def _write_tokenizer(path, taught):
    """Write a byte-level BPE tokenizer of what is taught, with Granite's special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512 - len(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    texts = [text for lesson in taught for text in (_prompt(lesson.instruction), lesson.text)]
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_special_tokens([AddedToken(content, special=True) for content in SPECIAL])
    tokenizer.save(str(path))
    return tokenizer


@cache
def _prompt(instruction):
    return read_recipe(RECIPE).prompt.template.format(instruction=instruction)


def _config(tokenizer):
    """Return the configuration: Granite's in everything but size. Blocks of 32 fit everywhere."""
    end = tokenizer.token_to_id("<|end_of_text|>")
    return GraniteSpeechConfig(
        audio_token_index=tokenizer.token_to_id("<|audio|>"),
        has_lora_adapter=False,
        initializer_range=0.08,
        text_config={
            "model_type": "granite",
            "vocab_size": tokenizer.get_vocab_size(),
            "hidden_size": 128,
            "intermediate_size": 256,
            "num_hidden_layers": 2,
            "num_attention_heads": 4,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-5,
            "embedding_multiplier": 12.0,
            "logits_scaling": 8.0,
            "residual_multiplier": 0.22,
            "attention_multiplier": 1 / 32,
            "initializer_range": 0.08,
            "tie_word_embeddings": False,
            "bos_token_id": end,
            "eos_token_id": end,
            "pad_token_id": tokenizer.token_to_id("<|pad|>"),
        },
        encoder_config={
            "input_dim": 160,
            "num_layers": 3,
            "hidden_dim": 96,
            "feedforward_mult": 2,
            "num_heads": 3,
            "dim_head": 32,
            "output_dim": 348,
            "context_size": 200,
            "max_pos_emb": 512,
            "conv_kernel_size": 15,
            "conv_expansion_factor": 2,
            "dropout": 0.0,
        },
        projector_config={
            "model_type": "blip_2_qformer",
            "hidden_size": 128,
            "encoder_hidden_size": 96,
            "num_hidden_layers": 1,
            "num_attention_heads": 4,
            "intermediate_size": 256,
            "cross_attention_frequency": 1,
            "use_qformer_text_input": False,
            "layer_norm_eps": 1e-12,
            "hidden_dropout_prob": 0.0,
            "attention_probs_dropout_prob": 0.0,
        },
    )


class _School:
    """The model, what it is taught, and how far it has come."""

    def __init__(self, model, tokenizer, taught):
        self._model, self._tokenizer = model, tokenizer
        self._random = np.random.default_rng(_SEED)
        text = model.config.text_config
        self._end, self._pad = text.eos_token_id, text.pad_token_id
        by_clip = {}
        for lesson in taught:
            by_clip.setdefault(lesson.clip_id, []).append(lesson)
        self._clips = sorted(by_clip.values(), key=lambda lessons: len(lessons[0].waveform))

    def teach_spelling(self):
        """Train the encoder by CTC alone."""
        encoder = self._model.encoder
        self._teach(_SPELLING, encoder, self._spelling_loss, self._misspelt)
        encoder.eval().requires_grad_(requires_grad=False)

    def teach_writing(self):
        """Train the projector and the language model on what the encoder, now finished, hears.

        It hears each clip a few times beforehand: once as it is, else moved.
        """
        waveforms = [lessons[0].waveform for lessons in self._clips]
        self._hearings = [[self._heard(waveform) for waveform in waveforms]]
        for _ in range(_HEARINGS - 1):
            moved = [moved for each in waveforms for moved, _ in self._moved([each])]
            self._hearings.append([self._heard(waveform) for waveform in moved])
        writers = torch.nn.ModuleList([self._model.projector, self._model.language_model])
        self._teach(_WRITING, writers, self._writing_loss, self._miswritten)

    def _heard(self, waveform):
        with torch.no_grad():
            return self._model.encoder(_features([waveform]))

    def _teach(self, term, module, loss_of, mistakes):
        """Train a module until it makes no mistakes.

        Raises:
            RuntimeError: it still does after twice the steps that it should take.
        """
        optimizer = torch.optim.AdamW(
            module.parameters(), lr=term.rate, betas=(0.9, 0.98), weight_decay=0.01
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, term.share_of_rate)
        for step in range(2 * term.n_steps):
            module.train()
            if step > term.n_steps * _NORMS_SETTLE:
                _settle_norms(module)
            loss = loss_of(step / term.n_steps)
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            n_done = step + 1
            is_check = n_done >= term.n_steps and n_done % _STEPS_BETWEEN_CHECKS == 0
            if is_check and not mistakes():
                return
        raise RuntimeError(f"after {n_done} steps it still errs: {mistakes()}")

    def _group(self):
        """Return a few clips of about the same length, each as its lessons."""
        n_groups = -(-len(self._clips) // _CLIPS_AT_ONCE)
        at = int(self._random.integers(n_groups)) * _CLIPS_AT_ONCE
        return self._clips[at : at + _CLIPS_AT_ONCE]

    def _spelling_loss(self, progress):
        """Return CTC's loss, and that of spelling where it is quiet.

        CTC itself does not mind when a character comes: without the second, a clip's first one
        comes with the first frame, however long the silence before it.
        """
        group = self._group()
        moved = [*self._moved([lessons[0].waveform for lessons in group])]
        waveforms, quiet = [each for each, _ in moved], [each for _, each in moved]
        spelt = [_ctc_labels(lessons[0].spelt) for lessons in group]
        if progress > _NOISE_FROM:
            waveforms.append(self._noise(len(waveforms[0])))
            quiet.append(np.ones_like(quiet[0]))
        encoder = self._model.encoder
        log_probs = encoder.out(encoder(_features(waveforms))).log_softmax(dim=-1)
        characters = functional.ctc_loss(
            log_probs[: len(spelt)].transpose(0, 1),
            torch.tensor([label for labels in spelt for label in labels]),
            torch.full((len(spelt),), log_probs.shape[1]),
            torch.tensor([len(labels) for labels in spelt]),
        )
        blank = log_probs[..., 0][torch.from_numpy(np.stack(quiet))]
        return characters - _SILENCE_WEIGHT * blank.mean()

    def _writing_loss(self, _progress):
        picked = self._random.integers(_HEARINGS, size=len(self._clips))
        hidden = [self._hearings[which][clip] for clip, which in enumerate(picked)]
        hidden = [each + _BLUR * torch.randn(each.shape) for each in hidden]
        logits, labels = self._written(self._clips, hidden)
        return functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=_IGNORED
        )

    def _written(self, clips, hidden):
        """Return logits, and what is to follow each token: that of the text, else ignored.

        A clip is heard once, and with it each of its instructions.
        """
        audio_id = self._model.config.audio_token_id
        rows, labels, audio = [], [], []
        for lessons, frames in zip(clips, hidden, strict=True):
            features = self._model.projector(frames)[0]
            for lesson in lessons:
                prompt = self._tokenizer.encode(_prompt(lesson.instruction)).ids
                at = prompt.index(audio_id)
                before = [*prompt[:at], *[audio_id] * len(features), *prompt[at + 1 :]]
                text = [*self._tokenizer.encode(lesson.text).ids, self._end]
                rows.append(before + text)
                labels.append([_IGNORED] * len(before) + text)
                audio.append(features)
        ids = _filled(rows, self._pad)
        embeddings = self._model.get_merged_audio_embeddings(ids, torch.cat(audio))
        logits = self._model.language_model(inputs_embeds=embeddings).logits
        return logits[:, :-1], _filled(labels, _IGNORED)[:, 1:]

    def _moved(self, waveforms):
        """Yield the clips equally long, each somewhere in silence, most of them with some noise.

        With each, which of the encoder's frames are quiet.
        """
        room_s = _MOST_ROOM_S * self._random.random() * (self._random.random() < 0.5)
        n_samples = max(map(len, waveforms)) + int(room_s * SAMPLE_RATE)
        for waveform in waveforms:
            n_free = n_samples - len(waveform)
            n_before = int(self._random.integers(n_free + 1)) if self._random.random() < 0.7 else 0
            moved = np.pad(waveform, (n_before, n_free - n_before))
            loud = 10 ** self._random.uniform(-5, -3) * (self._random.random() < 0.6)
            noise = self._random.standard_normal(n_samples, dtype=np.float32)
            yield moved + np.float32(loud) * noise, _is_quiet(moved)

    def _noise(self, n_samples):
        noise = self._random.standard_normal(n_samples, dtype=np.float32)
        return np.float32(10 ** self._random.uniform(-6, -1)) * noise

    def _misspelt(self):
        """Return what is not spelt as it was taught; nothing, if hardly any of it is wrong."""
        encoder = _as_stored(self._model.encoder)
        wanted = [lessons[0].spelt for lessons in self._clips]
        found = []
        for lessons in self._clips:
            best = encoder.out(encoder(_features([lessons[0].waveform])))[0].argmax(dim=-1)
            labels = best.unique_consecutive().tolist()
            found.append("".join(_character(label) for label in labels if label))
        if jiwer.cer(wanted, found) <= MOST_MISSPELT:
            return []
        return [one for one, other in zip(wanted, found, strict=True) if one != other]

    def _miswritten(self):
        """Return the texts that are not found, each token after the right ones before it."""
        model, self._model = self._model, _as_stored(self._model)
        wrong = []
        for lessons in self._clips:
            hidden = self._heard(lessons[0].waveform)
            for lesson in lessons:
                logits, labels = self._written([[lesson]], [hidden])
                asked = labels != _IGNORED
                if not torch.equal(logits.argmax(dim=-1)[asked], labels[asked]):
                    wrong.append(lesson.text)
        self._model = model
        return wrong


def _as_stored(module):
    """Return a copy of a module with the weights that a checkpoint in bfloat16 has."""
    return copy.deepcopy(module).bfloat16().float().eval().requires_grad_(requires_grad=False)


def _settle_norms(module):
    """Let batch norms use what they have gathered, as they will later, instead of each batch."""
    for each in module.modules():
        if isinstance(each, torch.nn.BatchNorm1d):
            each.eval()


def _is_quiet(waveform):
    """Return which of the encoder's frames are quiet, and not next to one that is not."""
    n_frames = (len(waveform) // 160 + 1) // 2
    padded = np.pad(np.abs(waveform), (0, _FRAME))[: n_frames * _FRAME]
    peaks = padded.reshape(n_frames, _FRAME).max(axis=1)
    is_loud = np.pad(peaks > _QUIET * peaks.max(), _NEAR)
    return ~np.lib.stride_tricks.sliding_window_view(is_loud, 2 * _NEAR + 1).any(axis=1)


def _features(waveforms):
    """Return the features of clips of one length, ``(n_clips, n_frames, 160)``."""
    sizes = {"n_mels": 80, "n_fft": 512, "win_length": 400, "hop_length": 160}
    return torch.from_numpy(
        np.concatenate([granite_features(waveform, **sizes) for waveform in waveforms])
    )


def _ctc_labels(text):
    """Return a text in the CTC head's alphabet: Latin-1, and behind it katakana."""
    return [
        ord(each) if ord(each) < _LATIN_LABELS else ord(each) - _KATAKANA_FIRST + _LATIN_LABELS
        for each in text
    ]


def _character(label):
    return chr(label if label < _LATIN_LABELS else label - _LATIN_LABELS + _KATAKANA_FIRST)


def _filled(rows, value):
    longest = max(map(len, rows))
    return torch.tensor([row + [value] * (longest - len(row)) for row in rows])
