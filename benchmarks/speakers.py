"""How often the right speaker is named: conversations joined from clips of known speakers.

    EDGE_ASR_SPEECH=DIR python -m benchmarks.speakers --bundles bundles

The speakers are those that clips' names tell (LibriSpeech, VCTK, VoiceBank, LJ Speech, Thorsten,
SpeechBrain). Turns are in random order, with a second between them; each conversation goes through
the ears of the device. A label stands for the speaker of whom it has most sound; what is counted is
the share of speech that has the right one, and how often the number of speakers is right.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import re
import statistics
import tempfile
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import soundfile

from edge_asr.bundle import open_bundle
from edge_asr.capture.hearing import Hearing
from edge_asr.capture.vad import open_vad
from edge_asr.capture.wavfile import WavFile
from edge_asr.config import Config
from edge_asr.formats import FileTranscript, Segment
from edge_asr.recognizers.voice import open_voice_encoder
from edge_asr.records import SAMPLE_RATE
from edge_asr.speakers import THRESHOLD, label
from edge_asr.transcribe import stretches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.capture.vad import SileroVad
    from edge_asr.config import VadSettings
    from edge_asr.records import Waveform

Turn: TypeAlias = tuple[float, float, str]
"""Start and end in seconds, and who speaks."""
NAMED = re.compile(
    r"en-(librispeech_\w+)-(\d+)-|en-(vctk)_autovc-(p\d+)|en-(voicebank)\w+-noisy_(p\d+)"
    r"|en-(ljspeech)-(LJ001)-|de-(thorsten)-(rec)|en-(speechbrain)-(spk\d)"
)
SHORTEST_S, PAUSE_S = 1.5, 1.0


def by_speaker(folder: Path) -> dict[str, list[Path]]:
    """Return the clips of each speaker of whom there are two or more."""
    found = defaultdict(list)
    for path in sorted(folder.glob("*.flac")):
        if (named := NAMED.match(path.name)) and soundfile.info(path).duration >= SHORTEST_S:
            found["-".join(part for part in named.groups() if part)].append(path)
    return {name: clips for name, clips in found.items() if len(clips) > 1}


def conversation(
    clips: dict[str, list[Path]], n_speakers: int, draw: random.Random
) -> tuple[Waveform, list[Turn]]:
    """Return sound and turns, as (start, end, speaker): up to five clips of each."""
    chosen = draw.sample(sorted(clips), n_speakers)
    turns = [(name, path) for name in chosen for path in clips[name][:5]]
    draw.shuffle(turns)
    parts, told, at = [], [], 0.0
    for name, path in turns:
        sound, rate = soundfile.read(path, dtype="float32")
        parts += [sound, np.zeros(int(PAUSE_S * rate), np.float32)]
        told.append((at, at + len(sound) / rate, name))
        at += len(sound) / rate + PAUSE_S
    return np.concatenate(parts), told


def heard(path: Path, vad: SileroVad, settings: VadSettings) -> FileTranscript:
    """Return the segments that the device's ears cut, as if each had text."""
    hearing = Hearing(vad, settings)
    with WavFile(path, threading.Event(), realtime=False) as source:
        cut = [Segment(each.start_s, each.end_s, "x") for each in stretches(source, hearing)]
    return FileTranscript(str(path), "en", 0.0, 0.0, tuple(cut))


def share_right(segments: Sequence[Segment], turns: list[Turn]) -> float:
    """Return the share of the segments' time that the best mapping of labels names rightly."""
    shared: defaultdict[tuple[str | None, str], float] = defaultdict(float)
    for segment, (start_s, end_s, name) in itertools.product(segments, turns):
        overlap_s = min(segment.end_s, end_s) - max(segment.start_s, start_s)
        if overlap_s > 0:
            shared[segment.speaker, name] += overlap_s
    labels = sorted({f"{pair[0]}" for pair in shared})
    names = sorted({pair[1] for pair in shared})
    names += [""] * max(0, len(labels) - len(names))
    best = max(
        sum(shared.get(pair, 0.0) for pair in zip(labels, order, strict=False))
        for order in itertools.permutations(names, len(labels))
    )
    return best / sum(shared.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bundles", type=Path, default=Path("bundles"))
    parser.add_argument("--voice", type=Path, help="the voice encoder's, if elsewhere")
    parser.add_argument("--conversations", type=int, default=10, help="of each size")
    parser.add_argument("--thresholds", type=float, nargs="*", default=[THRESHOLD])
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    clips = by_speaker(Path(os.environ["EDGE_ASR_SPEECH"]))
    print(f"{len(clips)} speakers, {sum(map(len, clips.values()))} clips")
    vad = open_vad(open_bundle(asked.bundles / "silero-vad"))
    voices = open_voice_encoder(open_bundle(asked.voice or asked.bundles / "voice-encoder"))
    draw = random.Random(asked.seed)  # noqa: S311 (conversations are no secret)
    for n_speakers in (1, 2, 3, 4):
        results: defaultdict[str, list[tuple[float, bool]]] = defaultdict(list)
        for _ in range(asked.conversations):
            sound, turns = conversation(clips, n_speakers, draw)
            with tempfile.NamedTemporaryFile(suffix=".flac") as file:
                soundfile.write(file.name, sound, SAMPLE_RATE)
                vad.reset()
                found = heard(Path(file.name), vad, Config().vad)
                ways: dict[str, tuple[int | None, float]] = {
                    **{f"threshold {each}": (None, each) for each in asked.thresholds},
                    "told how many": (n_speakers, THRESHOLD),
                }
                for name, (n_told, threshold) in ways.items():
                    labelled = label(
                        Path(file.name), found, voices, n_told, threshold=threshold
                    ).segments
                    n_found = len({each.speaker for each in labelled})
                    results[name].append((share_right(labelled, turns), n_found == n_speakers))
        for name, rows in results.items():
            shares, counts = zip(*rows, strict=True)
            print(
                f"{n_speakers} speakers, {name}: {statistics.mean(shares):.1%} of speech right,"
                f" lowest {min(shares):.1%}; number right in {sum(counts)} of {len(counts)}"
            )


if __name__ == "__main__":
    main()
