"""``python -m benchmarks.keyword_clips``: synthetic clips that say names, parts and codes.

Whatever of three synthesizers is there speaks: espeak-ng, flite, and Piper with the voice of a file
(``--piper``; natural enough that the rest of its sentences is understood). Two lists of words, each
with sentences of its own: thresholds are chosen on ``dev`` and judged on ``test``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import soundfile
import soxr

from edge_asr.records import SAMPLE_RATE

_PAUSE_S = 0.25
"""Silence before and after."""


@dataclass(frozen=True, slots=True)
class Collection:
    """Words, and sentences to say them in."""

    keywords: tuple[str, ...]
    sentences: tuple[str, ...]


COLLECTIONS = {
    "dev": Collection(
        (
            *("Szymanski", "Okonkwo", "Vandenberghe", "Kowalczyk", "Thistlewood", "Przybylski"),
            *("Featherstonehaugh", "Abernathy", "Wojciechowski", "Oyelaran", "servoflange"),
            *("triac", "circlip", "Modbus", "Profinet", "Kanban", "poka-yoke", "andon"),
            *("heijunka", "spigot", "grommet", "varistor", "thyristor", "gudgeon pin"),
            *("cotter pin", "Zyxel", "Festo", "Beckhoff", "Phoenix Contact", "Endress"),
            *("Norgren", "Rittal", "ferrule", "bellows valve", "AX9", "K47", "M12", "hydrazine"),
            *("toluidine", "molybdenum"),
        ),
        (
            "Please replace the {} on line four.",
            "I spoke to {} about the delivery this morning.",
            "The {} is missing from the second shelf.",
            "Order two more units of {} for tomorrow.",
            "We found a problem with {} during the inspection.",
            "Tell the night shift that {} must be checked.",
        ),
    ),
    "test": Collection(
        (
            *("Mukherjee", "Lindqvist", "Ramaswamy", "Grzegorz", "Nakatomi", "Achebe"),
            *("Delacroix", "Haugen", "Bhattacharya", "Quisenberry", "Zielinski", "Oduya"),
            *("Cholmondeley", "Petrossian", "EtherCAT", "Profibus", "gemba", "kaizen", "muda"),
            *("Sinumerik", "Allen-Bradley", "Pepperl", "Murrelektronik", "Turck", "Balluff"),
            *("Wago", "Danfoss", "Grundfos", "solenoid", "rheostat", "snubber", "trunnion"),
            *("sprocket", "clevis", "dowel pin", "Belleville washer", "o-ring", "Loctite"),
            *("Teflon", "acetonitrile", "xylene", "cyclohexane", "tungsten carbide", "Hastelloy"),
            *("Inconel", "Delrin", "B12", "R404A", "IP67", "RS485", "ZX3", "Tolvaptan", "Tsugaru"),
            *("Aarhus", "Gdynia", "Wroclaw", "Llanelli", "Kirkcudbright"),
        ),
        (
            "Can you ask {} to come to the office?",
            "There is a new message about {} from the warehouse.",
            "Yesterday {} was delivered an hour late.",
            "Write down that {} needs attention before Friday.",
            "He said that {} works fine again.",
            "The report mentions {} on the last page.",
        ),
    ),
}


def voices(piper: Path | None) -> dict[str, list[str]]:
    """Return the voices that are there: the command that speaks, into ``OUT``, what is ``TEXT``.

    Piper takes its text from standard input.
    """
    found = {}
    if piper is not None:
        command = ["piper", "--model", str(piper), "--output_file", "OUT"]
        found["piper"] = command
        found["piper-slow"] = [*command, "--length_scale", "1.15"]
    if shutil.which("flite"):
        for name in ("slt", "rms"):
            found[name] = ["flite", "-voice", name, "-t", "TEXT", "-o", "OUT"]
    if shutil.which("espeak-ng"):
        found["espeak"] = ["espeak-ng", "-v", "en-us+m3", "-s", "150", "-w", "OUT", "TEXT"]
    return found


def speak(command: list[str], text: str, target: Path) -> None:
    """Write a sentence as a recorder would have heard it."""
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        places = {"OUT": str(spoken), "TEXT": text}
        subprocess.run(
            [places.get(part, part) for part in command],
            input=text.encode(),
            check=True,
            capture_output=True,
        )
        sound, rate = soundfile.read(spoken, dtype="float32")
    pause = np.zeros(int(_PAUSE_S * SAMPLE_RATE), np.float32)
    heard = soxr.resample(sound, rate, SAMPLE_RATE)
    soundfile.write(target, np.concatenate([pause, heard, pause]), SAMPLE_RATE)


@click.command()
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--piper", type=click.Path(exists=True, path_type=Path), help="A voice's .onnx file.")
def main(*, out: Path, piper: Path | None) -> None:
    """Make clips of both collections, in OUT/dev and OUT/test."""
    speakers = voices(piper)
    if not speakers:
        raise click.ClickException("nothing here can speak; install espeak-ng, flite or Piper")
    for name, collection in COLLECTIONS.items():
        folder = out / name
        folder.mkdir(parents=True, exist_ok=True)
        lines = []
        for number, keyword in enumerate(collection.keywords):
            for turn, (voice, command) in enumerate(speakers.items(), start=number):
                text = collection.sentences[turn % len(collection.sentences)].format(keyword)
                target = folder / f"{number:02}-{voice}.flac"
                speak(command, text, target)
                line = {"path": target.name, "id": f"{voice}/{number:02}", "language": "en"}
                lines.append({**line, "text": text, "keywords": [keyword], "tags": [voice]})
        manifest = "".join(f"{json.dumps(line)}\n" for line in lines)
        (folder / "manifest.jsonl").write_text(manifest, encoding="utf-8")
        click.echo(f"{folder}: {len(lines)} clips by {', '.join(speakers)}")


if __name__ == "__main__":
    main()
