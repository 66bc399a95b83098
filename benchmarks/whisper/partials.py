"""From the end of the first word that is spoken to the first text on a screen.

A real ``edge-asr listen`` hears a file at the pace it was spoken, and a real ``edge-asr recognize``
tells what is being said. When the first word was over, the final transcript says.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.whisper.bench import OURS
from benchmarks.whisper.commands import our_environment, our_options
from benchmarks.whisper.contest import WorkerError
from benchmarks.whisper.sounds import utterances
from benchmarks.whisper.tables import Measured, Ratio, Table, middle, milliseconds, percentile
from edge_asr.audio import write_flac
from edge_asr.evaluation.systems import read_waveform
from edge_asr.records import SAMPLE_RATE
from edge_asr.transcribe import total_duration_s

if TYPE_CHECKING:
    from benchmarks.whisper.bench import Bench

_LENGTH_S = 5.0
_PAUSE_S = 2.0
_LOADING_S = 4.0
"""Silence at the beginning: both programs are up when the first word comes."""
_WANTED_S = 1.0
_PATIENCE = 2.0
"""Times as long as the sound, the programs may take."""


def measure_partials(bench: Bench, name: str, *, n_threads: int, repeats: int) -> Measured:
    """Say an utterance again and again to the whole program."""
    bench.tell(f"partial text: {name}")
    (clip,) = utterances(bench.english, [_LENGTH_S])
    with tempfile.TemporaryDirectory(prefix="partials-", dir=bench.folder) as folder:
        wav = Path(folder) / "sound.flac"
        pauses = [np.zeros(round(s * SAMPLE_RATE), np.float32) for s in (_LOADING_S, _PAUSE_S)]
        said = [read_waveform(clip.path), pauses[1]] * (repeats + 1)
        write_flac(wav, np.concatenate([pauses[0], *said]))
        took_s = _delays(bench, name, n_threads, wav, repeats + 1)[1:]
    shown = [milliseconds(each) for each in (middle(took_s), percentile(took_s, 0.95), max(took_s))]
    note = (
        f"{name}, an utterance of {clip.duration_s:.1f} s, {n_threads} threads, {repeats} times: "
        "from the end of its first word to the first text that is told, with `edge-asr listen` "
        "and `edge-asr recognize` beside each other."
    )
    heads = ["System", "p50", "p95", "Longest"]
    ratio = Ratio(
        f"{name}, first partial text after its first word",
        "-",
        shown[0],
        "-",
        middle(took_s),
        _WANTED_S,
        " s",
        is_limit=True,
    )
    return Measured([Table("Partial text", note, heads, [[OURS, *shown]])], [ratio])


def _delays(bench: Bench, name: str, n_threads: int, wav: Path, n_utterances: int) -> list[float]:
    """Return how long after its first word each utterance's first partial text was told.

    Raises:
        WorkerError: no text came of one of them.
    """
    options = our_options(bench, name, n_threads, wav.parent)
    environment = our_environment(bench)
    longest_s = _PATIENCE * total_duration_s([wav])
    told_s = _first_told_s(options, environment, wav, n_utterances, longest_s)
    log = subprocess.run(
        [*options, "log", "export"], env=environment, capture_output=True, text=True, check=True
    )
    entries = [json.loads(line) for line in log.stdout.splitlines()]
    spoken_s = {
        entry["start_utc"]: _seconds(entry["start_utc"]) + entry["words"][0]["end_s"]
        for entry in entries
        if entry["words"]
    }
    if len(told_s.keys() & spoken_s) < n_utterances:
        raise WorkerError(f"of {n_utterances} utterances, {len(told_s)} had partial texts")
    return [told_s[start] - spoken_s[start] for start in sorted(told_s) if start in spoken_s]


def _first_told_s(
    options: list[str],
    environment: dict[str, str],
    wav: Path,
    n_utterances: int,
    longest_s: float,
) -> dict[str, float]:
    """Run both programs over a file; return when something was first told of each utterance."""
    told_s: dict[str, float] = {}
    n_done = 0
    with (
        subprocess.Popen(
            [*options, "recognize", "--format", "jsonl", "--partials"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        ) as recognizer,
        subprocess.Popen(
            [*options, "listen", "--wav", str(wav)], env=environment, stderr=subprocess.DEVNULL
        ) as listener,
    ):
        assert recognizer.stdout is not None  # noqa: S101 (it is a pipe)
        ending = threading.Timer(longest_s, recognizer.terminate)
        ending.start()
        for line in recognizer.stdout:
            event = json.loads(line)
            if event["event"] == "partial" and event["text"]:
                told_s.setdefault(event["start_utc"], time.time())
            n_done += event["event"] == "transcript"
            if n_done == n_utterances:
                break
        ending.cancel()
        recognizer.terminate()
        listener.terminate()
    return told_s


def _seconds(rfc3339: str) -> float:
    return datetime.fromisoformat(rfc3339).timestamp()
