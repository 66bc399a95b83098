"""Many files on several cores: the same texts in the same order, and work that goes on."""

import json
import os
import signal
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest

from edge_asr import workers
from edge_asr.archive import ArchiveTranscriber
from edge_asr.audio import write_flac
from edge_asr.config import VadSettings
from edge_asr.errors import AudioFileError, EdgeAsrError
from edge_asr.journal import Purpose, journal_in
from edge_asr.records import Recognition, Request, Task
from edge_asr.workers import Workers, result_of
from tests.test_transcribe import LoudIsSpeech

REQUEST = Request(language="en")


class Now:
    """A worker that is done at once, until it is to fail."""

    def __init__(self, n_until_failure=100):
        self.n_left = n_until_failure
        self.n_heard = 0

    def submit(self, waveform, request):
        assert request is REQUEST
        found = Future()
        if self.n_left == 0:
            raise EdgeAsrError("no power")
        self.n_left -= 1
        self.n_heard += 1
        text = f"{len(waveform) / 16_000:.1f} s"
        found.set_result(Recognition(text, "en", None, Task.TRANSCRIBE, 0.1, -0.2))
        return found

    def flush(self):
        pass


@pytest.fixture
def files(tmp_path):
    """Two files with three utterances each."""
    paths = []
    for name, seconds in (("a", (2, 3, 4)), ("b", (5, 2, 3))):
        parts = [np.concatenate([np.zeros(32_000), np.full(16_000 * n, 0.4)]) for n in seconds]
        paths.append(tmp_path / f"{name}.flac")
        write_flac(paths[-1], np.concatenate(parts).astype(np.float32))
    return paths


def outcomes(paths, workers, *, journals=None, bundle="digest"):
    purpose = Purpose(bundle, REQUEST)
    archive = ArchiveTranscriber(
        LoudIsSpeech(),
        VadSettings(),
        workers,
        lambda path: journal_in(journals, path, purpose) if journals else None,
    )
    return archive.transcribe(paths, REQUEST, lambda _more_s: None)


def texts(found):
    return [outcome.transcript.text for outcome in found]


def test_a_file_that_cannot_be_read_is_an_outcome_and_the_order_stays(files, tmp_path):
    missing = tmp_path / "missing.flac"
    first, second, third = outcomes([files[0], missing, files[1]], Now())
    assert (first.path, second.path, third.path) == (files[0], missing, files[1])
    assert second.transcript is None
    assert isinstance(second.error, AudioFileError)
    assert len(first.transcript.segments) == len(third.transcript.segments) == 3


def test_work_that_was_broken_off_goes_on_where_it_stopped(files, tmp_path):
    journals = tmp_path / "out"
    journals.mkdir()
    whole = texts(outcomes(files, Now()))
    with pytest.raises(EdgeAsrError, match="no power"):
        list(outcomes(files, Now(n_until_failure=2), journals=journals))
    (journal,) = journals.iterdir()
    with journal.open("ab") as file:
        file.write(b'{"start_sample": "\xff"}\n')  # the card lost something
        file.write(b'{"start_sample": 1')  # the power went while a line was written

    going_on = Now(n_until_failure=4)
    assert texts(outcomes(files, going_on, journals=journals)) == whole
    assert going_on.n_heard == 4
    assert not list(journals.iterdir()), "what is whole needs no journal"


@pytest.mark.parametrize("change", ["file", "bundle"])
def test_a_journal_is_good_for_the_same_file_and_bundle_only(files, tmp_path, change):
    journals = tmp_path / "out"
    journals.mkdir()
    with pytest.raises(EdgeAsrError):
        list(outcomes(files, Now(n_until_failure=2), journals=journals))
    if change == "file":
        os.utime(files[0], ns=(1, 1))
    workers = Now()
    list(outcomes(files, workers, journals=journals, bundle=change))
    assert workers.n_heard == 6


@pytest.mark.bundle
def test_two_processes_write_what_one_writes(program, sample, bundles, tmp_path):
    clips = sorted(sample.glob("*.flac"))[:4]
    places = {"EDGE_ASR_BUNDLES": str(bundles)}
    asked = ("transcribe", "--bundle", "whisper-tiny.en", "--format", "jsonl", *clips)
    alone = program.run(*asked, **places)
    shared = program.run(*asked, "--jobs", "2", "--output-dir", tmp_path, **places)
    assert shared.returncode == alone.returncode == 0, shared.stderr
    expected = [json.loads(line) for line in alone.stdout.splitlines()]
    assert any(each["text"] for each in expected)
    for clip, each in zip(clips, expected, strict=True):
        found = json.loads((tmp_path / f"{clip.name}.jsonl").read_text(encoding="utf-8"))
        assert (found["text"], found["file"]) == (each["text"], each["file"])
    assert len(list(tmp_path.iterdir())) == len(clips)

    for clip in clips[1:]:
        (tmp_path / f"{clip.name}.jsonl").write_text("done before", encoding="utf-8")
    (tmp_path / f"{clips[0].name}.jsonl").unlink()
    again = program.run(*asked, "--resume", "--output-dir", tmp_path, **places)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / f"{clips[0].name}.jsonl").exists()
    assert (tmp_path / f"{clips[1].name}.jsonl").read_text(encoding="utf-8") == "done before"


class Listed:
    """A pool that keeps what it is handed, and is done with it when it is told."""

    def __init__(self):
        self.handed = []

    def submit(self, _transcribe, waveforms, request):
        assert request is REQUEST
        self.handed.append((waveforms, Future()))
        return self.handed[-1][1]

    def shutdown(self, **_):
        pass


@pytest.fixture
def listed(monkeypatch):
    pool = Listed()
    monkeypatch.setattr(workers, "ProcessPoolExecutor", lambda *_, **__: pool)
    return pool


def test_what_is_alike_in_length_is_handed_over_together_and_comes_back_in_its_place(
    listed, tmp_path
):
    lengths = [16_000 * (1 + n % 2) for n in range(64)]
    with Workers(tmp_path, 1) as pool:
        found = [pool.submit(np.zeros(length, np.float32), REQUEST) for length in lengths]
        assert len(listed.handed) == 2, "one is being recognized, one waits for the worker"
        for _ in range(2):
            for waveforms, done in listed.handed[-2:]:
                done.set_result([len(waveform) for waveform in waveforms])
            pool.flush()
    assert [each.result() for each in found] == lengths
    for waveforms, _ in listed.handed[2:]:
        assert len({len(waveform) for waveform in waveforms}) == 1


def test_why_a_batch_failed_is_told_of_each_utterance_in_it(listed, tmp_path):
    with Workers(tmp_path, 1) as pool:
        found = [pool.submit(np.zeros(16_000, np.float32), REQUEST) for _ in range(3)]
        pool.flush()
        listed.handed[0][1].set_exception(BrokenProcessPool())
    for each in found:
        with pytest.raises(EdgeAsrError, match="use fewer --jobs"):
            result_of(each)


@pytest.mark.bundle
def test_a_process_that_is_killed_is_one_sentence(bundles):
    with Workers(bundles / "whisper-tiny.en", 1) as workers:
        silence = np.zeros(16_000, dtype=np.float32)
        assert _found_by(workers, silence).language == "en"
        (process,) = workers._pool._processes.values()
        os.kill(process.pid, signal.SIGKILL)
        process.join(10)
        with pytest.raises(EdgeAsrError, match="a recognizing process ended before its work"):
            _found_by(workers, silence)


def _found_by(workers, waveform):
    found = workers.submit(waveform, REQUEST)
    workers.flush()
    return result_of(found)


def test_resuming_without_a_folder_is_one_sentence(program):
    result = program.run("transcribe", "--resume", "any.wav")
    assert result.returncode == 2
    assert "--resume needs --output-dir" in result.stderr
