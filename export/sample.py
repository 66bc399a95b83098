"""The project's own speech sample, made from what Debian packages: prompts and a machine's voice.

It is the same on every machine with the same packages: FLAC files, their texts in a
``manifest.jsonl``, and ``demo.flac``, which strings English prompts together with pauses.
"""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np

from edge_asr.audio import write_flac
from edge_asr.bundle import sha256_of
from edge_asr.records import SAMPLE_RATE
from export.clips import MANIFEST, read_waveform
from export.errors import SampleError
from export.recipe import read_yaml
from export.steps import digest, make_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.records import Waveform

PROMPTS = Path(__file__).with_name("sample_prompts.yaml")
DEMO = "demo.flac"
DEMO_TEXT = "demo.txt"
PAUSE_S = 1.5
"""Between the prompts of the demo: longer than what ends an utterance."""
_NOTICE = """\
The recordings come from Debian's packages {packages}
(Asterisk core sounds) and are licensed under CC-BY-SA-3.0; the packages' copyright files name the
speakers. Changed here: resampled from 8 to 16 kHz, stored as FLAC, strung together in {demo}.
Clips tagged "synthetic" were spoken by espeak-ng.
"""
_LICENCE = "CC-BY-SA-3.0"


class Prompt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One recorded prompt."""

    file: str
    """Path below the voice's folder, without ``.wav``."""
    text: str
    demo: bool = False


class Voice(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One speaker's prompts."""

    language: str
    folder: str
    package: str
    """The Debian package that has them."""
    prompts: list[Prompt]


class Synthetic(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sentence for espeak-ng."""

    language: str
    voice: str
    text: str


class Prompts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of ``sample_prompts.yaml``."""

    voices: Annotated[list[Voice], msgspec.Meta(min_length=1)]
    synthetic: list[Synthetic]


def build_sample(directory: Path, *, sounds: Path) -> None:
    """Build the sample in ``directory``, unless it is there already.

    Args:
        directory: where it goes.
        sounds: where Debian's asterisk-core-sounds packages put their voices.

    Raises:
        SampleError: a voice or espeak-ng is not installed; the message names the package.
    """
    key = digest(sha256_of(PROMPTS), sha256_of(Path(__file__)))
    make_once(directory, key, lambda part: _fill(part, read_yaml(PROMPTS, Prompts), sounds))


def _fill(directory: Path, prompts: Prompts, sounds: Path) -> None:
    lines, demo = [], []
    for voice in prompts.voices:
        for prompt in voice.prompts:
            waveform = _recorded(voice, prompt, sounds)
            name = f"{voice.language}-{prompt.file.replace('/', '-')}"
            lines.append(_store(directory, name, voice.language, prompt.text, waveform, ["prompt"]))
            if prompt.demo:
                demo.append((waveform, prompt.text))
    for index, sentence in enumerate(prompts.synthetic):
        name = f"{sentence.language}-synthetic-{index}"
        spoken = _synthesized(sentence)
        lines.append(
            _store(directory, name, sentence.language, sentence.text, spoken, ["synthetic"]),
        )
    encoder = msgspec.json.Encoder()
    manifest = b"".join(encoder.encode(line) + b"\n" for line in lines)
    (directory / MANIFEST).write_bytes(manifest)
    write_flac(directory / DEMO, _strung_together([waveform for waveform, _ in demo]))
    text = "".join(f"{text}\n" for _, text in demo)
    (directory / DEMO_TEXT).write_text(text, encoding="utf-8")
    packages = ", ".join(voice.package for voice in prompts.voices)
    notice = _NOTICE.format(packages=packages, demo=DEMO)
    (directory / "NOTICE.txt").write_text(notice, encoding="utf-8")


def _store(
    directory: Path,
    name: str,
    language: str,
    text: str,
    waveform: Waveform,
    tags: list[str],
) -> dict[str, Any]:
    """Write one clip and return its line of the manifest."""
    path = f"{name}.flac"
    write_flac(directory / path, waveform)
    return {
        "id": f"sample/{name}",
        "path": path,
        "language": language,
        "text": text,
        "duration_s": round(len(waveform) / SAMPLE_RATE, 3),
        "sample_rate": SAMPLE_RATE,
        "tags": tags,
        "license": "none needed" if "synthetic" in tags else _LICENCE,
    }


def _recorded(voice: Voice, prompt: Prompt, sounds: Path) -> Waveform:
    try:
        return read_waveform(sounds / voice.folder / f"{prompt.file}.wav")
    except SampleError as error:
        raise SampleError(
            f"the speech sample needs the Debian package {voice.package}: "
            f"apt-get install {voice.package} ({error})",
        ) from error


def _synthesized(sentence: Synthetic) -> Waveform:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "spoken.wav"
        command = ["espeak-ng", "-v", sentence.voice, "-w", str(path), sentence.text]
        try:
            subprocess.run(command, capture_output=True, check=True)
            return read_waveform(path)
        except (OSError, subprocess.CalledProcessError, SampleError) as error:
            raise SampleError(
                f"the speech sample needs espeak-ng: apt-get install espeak-ng ({error})",
            ) from error


def _strung_together(waveforms: list[Waveform]) -> Waveform:
    return np.concatenate(list(_with_pauses(waveforms)))


def _with_pauses(waveforms: list[Waveform]) -> Iterator[Waveform]:
    pause = np.zeros(int(PAUSE_S * SAMPLE_RATE), dtype=np.float32)
    for waveform in waveforms:
        yield waveform
        yield pause
