"""A tiny Whisper with random weights, in every form in which weights arrive."""

import json
import os
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import yaml
from click.testing import CliRunner

from edge_asr.audio import write_flac

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as the command does, before torch comes in


@pytest.fixture(autouse=True, scope="module")
def no_speech_but_what_is_named():
    """Keep the environment's speech away: the gate of a random checkpoint would hear nonsense."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("EDGE_ASR_SPEECH", raising=False)
        yield


SPECIAL = (
    *("<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|de|>", "<|translate|>"),
    *("<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"),
)
N_BYTES = 256
N_TIMESTAMPS = 22
VOCAB_SIZE = N_BYTES + len(SPECIAL) + N_TIMESTAMPS


def write_tokenizer(path):
    """Write a tokenizer of single bytes and Whisper's special tokens."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {character: index for index, character in enumerate(alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(content, special=True) for content in SPECIAL])
    tokenizer.save(str(path))


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Return a Transformers checkpoint of a tiny multilingual Whisper, in float16."""
    import torch
    from transformers import GenerationConfig, WhisperConfig, WhisperForConditionalGeneration

    from export.whisper_tokens import generation_settings, read_tokens

    folder = tmp_path_factory.mktemp("checkpoint")
    write_tokenizer(folder / "tokenizer.json")
    tokens = read_tokens(folder / "tokenizer.json")
    torch.manual_seed(7)
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=VOCAB_SIZE,
            num_mel_bins=80,
            d_model=64,
            encoder_layers=2,
            decoder_layers=3,
            encoder_attention_heads=4,
            decoder_attention_heads=4,
            encoder_ffn_dim=128,
            decoder_ffn_dim=128,
            max_target_positions=48,
            init_std=0.3,
            **tokens.config_ids(),
        ),
    )
    for name, weight in model.named_parameters():
        if name.endswith("bias") or "layer_norm" in name:
            torch.nn.init.normal_(weight, mean=1.0 if "norm.weight" in name else 0.0, std=0.2)
    model.generation_config = GenerationConfig(
        **generation_settings(
            tokens,
            multilingual=True,
            n_text_ctx=48,
            suppress=[1, 2, tokens.start_of_transcript],
            begin_suppress=[5, tokens.end_of_text],
            alignment_heads=[[1, 0]],
        ),
    )
    model.half().save_pretrained(folder)
    return folder


@dataclass(frozen=True)
class Graphs:
    """The tiny Whisper in torch and as exported."""

    model: object
    directory: Path


@pytest.fixture(scope="session")
def graphs(checkpoint, tmp_path_factory):
    """Return the float graphs that Optimum makes of the tiny checkpoint."""
    from export.whisper_onnx import export_graphs, load_whisper

    directory = tmp_path_factory.mktemp("float")
    export_graphs(checkpoint, directory)
    return Graphs(load_whisper(checkpoint), directory)


def _string(text):
    raw = text.encode() + b"\0"
    return struct.pack("<H", len(raw)) + raw


DTYPE_IDS = {"float32": 0, "int8": 1, "int16": 2, "int32": 3, "float16": 4}


def model_bin(tensors, aliases=(), *, version=6, spec="WhisperSpec", n_tensors=None):
    """Return the bytes of a CTranslate2 model."""
    parts = [struct.pack("<I", version), _string(spec), struct.pack("<I", 3)]
    parts.append(struct.pack("<I", len(tensors) if n_tensors is None else n_tensors))
    for name, tensor in tensors.items():
        parts += [_string(name), struct.pack("<B", tensor.ndim)]
        parts += [struct.pack("<I", size) for size in tensor.shape]
        parts.append(struct.pack("<BI", DTYPE_IDS[str(tensor.dtype)], tensor.nbytes))
        parts.append(tensor.tobytes())
    parts.append(struct.pack("<I", len(aliases)))
    parts += [_string(name) for pair in aliases for name in pair]
    return b"".join(parts)


def make_wheel(path, files):
    """Write a wheel that pip accepts, named by its file name, with ``files`` in it."""
    name, version = path.name.split("-")[:2]
    info = f"{name}-{version}.dist-info"
    listed = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in listed.items():
            archive.writestr(member, content)


@pytest.fixture(scope="session")
def speech_folder(tmp_path_factory):
    """Return a folder with noise that passes for speech, and its manifest."""
    folder = tmp_path_factory.mktemp("speech")
    random = np.random.default_rng(3)
    lines = []
    for index, language in enumerate(("en", "de", "en", "fr")):
        seconds = 1.5 + index
        noise = random.normal(scale=0.1, size=int(16_000 * seconds)).astype(np.float32)
        write_flac(folder / f"{index}.flac", noise)
        line = {
            "id": f"corpus{index % 2}/{index}",
            "path": f"{index}.flac",
            "language": language,
            "text": "some words " * 30,
            "duration_s": seconds,
        }
        lines.append(json.dumps(line) + "\n")
    (folder / "manifest.jsonl").write_text("".join(lines), encoding="utf-8")
    return folder


@dataclass(frozen=True)
class Workstation:
    """``python -m export`` with folders of its own."""

    root: Path
    speech: Path

    @property
    def out(self):
        return self.root / "bundles"

    def recipe(self, **changes):
        """Write a recipe for the tiny checkpoint and return its path."""
        content = {
            "name": "tiny",
            "family": "whisper",
            "summary": "a tiny Whisper",
            "licence": "MIT",
            "licence_file": "licence.txt",
            "source": {"kind": "folder", "origin": "a test"},
            "quantize": "int8",
            "quality": {
                "quantized_wer_increase": 500,
                "language_wer_increase": 500,
                "logit_difference": 0.01,
            },
            **changes,
        }
        (self.root / "licence.txt").write_text("do as you like\n", encoding="utf-8")
        path = self.root / "tiny.yaml"
        path.write_text(yaml.safe_dump(content), encoding="utf-8")
        return path

    def run(self, *arguments):
        """Run ``python -m export`` and return its result."""
        from export.__main__ import main

        return CliRunner().invoke(main, [*map(str, arguments)], catch_exceptions=False)

    def export(self, *arguments, out=None):
        """Build a bundle and return the command's result."""
        folders = {
            "--out": out or self.out,
            "--work": self.root / "work",
            "--speech": self.speech,
            "--sounds": self.root / "no-sounds",
        }
        options = [str(part) for pair in folders.items() for part in pair]
        return self.run(*arguments, *options)


@pytest.fixture
def workstation(tmp_path, speech_folder):
    """Return a workstation with nothing on it yet."""
    return Workstation(tmp_path, speech_folder)


@pytest.fixture(scope="session")
def shared_workstation(tmp_path_factory, speech_folder):
    """Return a workstation whose work folder several tests share, to save time."""
    return Workstation(tmp_path_factory.mktemp("workstation"), speech_folder)
