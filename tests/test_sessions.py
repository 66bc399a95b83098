"""Each step of a model is progress, which a watchdog hears of; threads are those asked for."""

import os
import subprocess
import sys

import pytest
import soundfile

from edge_asr.bundle import open_bundle
from edge_asr.mapped import MappedTable
from edge_asr.prepared import DATA_SUFFIX
from edge_asr.recognizers import open_recognizer
from edge_asr.records import Request
from edge_asr.sessions import Session, progress_told, write_prepared


@pytest.mark.bundle
def test_a_recognizer_tells_progress_while_it_transcribes(bundles, sample):
    waveform, _ = soundfile.read(sample / "demo.flac", dtype="float32", frames=4 * 16_000)
    recognizer = open_recognizer(open_bundle(bundles / "whisper-tiny.en"), n_threads=1)
    told = []
    with progress_told(lambda: told.append(None)):
        recognition = recognizer.transcribe(waveform, Request(language="en"))
    # The encoder once, then at least each word.
    assert len(told) > len(recognition.text.split()) > 3
    before = len(told)
    recognizer.transcribe(waveform[:16_000], Request(language="en"))
    assert len(told) == before


def test_nothing_computes_on_more_threads_than_were_asked_for():
    """NumPy's library would start one for each core, and have them spin."""
    script = """
from pathlib import Path
from edge_asr.recognizers.features import log_mel_spectrogram
import numpy

log_mel_spectrogram(numpy.ones(80_000, "f"), n_mels=80, n_frames=500)
print(len(list(Path("/proc/self/task").iterdir())))
"""
    result = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env=dict(os.environ),
    )
    assert result.stdout.strip() == "1"


@pytest.mark.bundle
def test_a_table_is_looked_for_when_somebody_asks_and_only_once(bundles, tmp_path, monkeypatch):
    """The kernel takes a while to tell of this process's memory, and most graphs have no table."""
    looked = []
    monkeypatch.setattr(MappedTable, "find", lambda path, _: looked.append(path))
    bundle = open_bundle(bundles / "silero-vad")
    (graph,) = (bundle.path(name) for name in bundle.manifest.files if name.endswith(".onnx"))
    write_prepared(graph, tmp_path / "graph.onnx", n_threads=1)

    session = Session(tmp_path / "graph.onnx", n_threads=1, prepared=True)
    assert looked == []
    session.give_table_back()
    session.give_table_back()
    assert looked == [tmp_path / f"graph.onnx{DATA_SUFFIX}"]
    Session(graph, n_threads=1).give_table_back()
    assert len(looked) == 1


@pytest.mark.bundle
def test_what_an_utterance_took_goes_back_to_the_system(bundles):
    """Blocks of a size that was free once would stay in the heap, under what lies above them."""
    script = """
import sys
from pathlib import Path
import numpy
from edge_asr.sessions import Session

Session(Path(sys.argv[1]), n_threads=1)

def resident():
    text = Path("/proc/self/status").read_text()
    return int(text.split("RssAnon:")[1].split()[0])

first = numpy.ones(30 << 20, "b")
del first
before = resident()
block, above = numpy.ones(20 << 20, "b"), numpy.ones(100_000, "b")
del block
print(resident() - before)
"""
    graph = bundles / "silero-vad" / "silero_vad_16k_sequence.onnx"
    result = subprocess.run(
        [sys.executable, "-c", script, str(graph)], capture_output=True, text=True, check=True
    )
    assert int(result.stdout) < 5_000, "kB"
