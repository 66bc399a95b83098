"""From the end of an utterance to its transcript, committed.

A real ``edge-asr recognize`` waits; this process is the listener: it writes an utterance into the
store as it is spoken, then closes it, and rings. What counts ends when ``recognize`` tells of the
transcript, which is after its commit. The pause by which any listener knows that an utterance is
over is not counted, and neither is it for the peer, which gets the same sound in memory.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.whisper.bench import FASTER_WHISPER, OURS
from benchmarks.whisper.commands import our_environment, our_options
from benchmarks.whisper.contest import Worker, WorkerError
from benchmarks.whisper.sounds import save_sound, utterances
from benchmarks.whisper.tables import (
    Measured,
    Ratio,
    Table,
    middle,
    milliseconds,
    percentile,
)
from edge_asr import clock
from edge_asr.evaluation.systems import read_waveform
from edge_asr.records import SAMPLE_RATE, EndReason
from edge_asr.store import Store

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    from benchmarks.whisper.bench import Bench
    from edge_asr.records import Waveform

_LENGTH_S = 5.0
_WANTED = 4.0
_CHUNK = SAMPLE_RATE // 10
_PAUSE_S = 0.2
"""Between utterances, as there is in life: the recognizer sleeps when the next one comes."""


def measure_latency(bench: Bench, name: str, *, n_threads: int, repeats: int) -> Measured:
    """Say the same utterance again and again, and have the peer hear it in between."""
    bench.tell(f"latency: {name}")
    (clip,) = utterances(bench.english, [_LENGTH_S])
    waveform = read_waveform(clip.path)
    call = save_sound(bench.folder, "latency", waveform)
    took_s: dict[str, list[float]] = {OURS: [], FASTER_WHISPER: []}
    with (
        tempfile.TemporaryDirectory(prefix="latency-", dir=bench.folder) as folder,
        Store.open(Path(folder)) as store,
        _recognizing(bench, name, n_threads, Path(folder)) as events,
        Worker(bench.entrant(FASTER_WHISPER, name, n_threads)) as peer,
    ):
        peer.load()
        for _ in range(repeats + 1):
            took_s[OURS].append(_say(store, waveform, events))
            took_s[FASTER_WHISPER].append(peer.transcribe(call).wall_s)
            time.sleep(_PAUSE_S)
    counted = {system: values[1:] for system, values in took_s.items()}  # the first warms both up
    rows = [
        [
            "edge-asr: end of the utterance to the commit" if system == OURS else system,
            milliseconds(middle(values)),
            milliseconds(percentile(values, 0.95)),
            milliseconds(max(values)),
        ]
        for system, values in counted.items()
    ]
    note = (
        f"{name}, an utterance of {clip.duration_s:.1f} s, {n_threads} threads, {repeats} times in "
        "turn. Of edge-asr everything counts: FLAC, fsync, the ring, recognition, the transaction; "
        "of faster-whisper its call on sound in memory."
    )
    ours_s, theirs_s = middle(counted[OURS]), middle(counted[FASTER_WHISPER])
    ratio = Ratio(
        f"{name}, end of an utterance of 5 s to the committed transcript",
        FASTER_WHISPER,
        milliseconds(ours_s),
        milliseconds(theirs_s),
        theirs_s / ours_s,
        _WANTED,
    )
    return Measured([Table("Latency", note, ["System", "p50", "p95", "Longest"], rows)], [ratio])


@contextmanager
def _recognizing(bench: Bench, name: str, n_threads: int, state: Path) -> Iterator[IO[str]]:
    """Run ``edge-asr recognize`` over a store, and give its events."""
    command = [*our_options(bench, name, n_threads, state), "recognize"]
    command += ["--format", "jsonl", "--no-partials"]  # as where nobody looks on
    with subprocess.Popen(
        command,
        env=our_environment(bench),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None  # noqa: S101 (it is a pipe)
        try:
            yield process.stdout
        finally:
            process.terminate()


def _say(store: Store, waveform: Waveform, events: IO[str]) -> float:
    """Write an utterance, and return how long after its end its transcript was there.

    Raises:
        WorkerError: ``recognize`` ended.
    """
    recording = store.utterances.begin("benchmark", clock.now())
    for start in range(0, len(waveform), _CHUNK):
        recording.append(waveform[start : start + _CHUNK])
    recording.flush()
    ended = time.perf_counter()
    utterance = store.utterances.close(recording, n_samples=len(waveform), reason=EndReason.PAUSE)
    store.doorbell.ring()
    for line in events:
        event = json.loads(line)
        if event.get("event") == "transcript" and event["utterance_id"] == utterance.utterance_id:
            return time.perf_counter() - ended
    raise WorkerError("edge-asr recognize ended before its time")
