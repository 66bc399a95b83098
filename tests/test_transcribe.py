"""A file cut into utterances and recognized, with partial texts on request."""

import json

import numpy as np
import pytest

from edge_asr.audio import write_flac
from edge_asr.capture.wavfile import WavFile
from edge_asr.config import VadSettings
from edge_asr.errors import AudioFileError, RequestError
from edge_asr.records import PartialText, Request
from edge_asr.transcribe import FileTranscriber
from tests.test_recognize import Recognizer


class LoudIsSpeech:
    """A voice detector that hears a voice in whatever is loud."""

    def reset(self):
        pass

    def probabilities(self, frames):
        return np.abs(frames).reshape(-1, 512).max(axis=1) * 2


class ReadingAlong(Recognizer):
    def partial(self, waveform, _request, previous):
        seconds = len(waveform) // 16_000
        assert (previous.n_samples if previous else 0) == len(waveform) - 16_000
        return PartialText("one" if seconds < 3 else "one two", len(waveform))


class Silent(Recognizer):
    def partial(self, *_arguments):
        return None


@pytest.fixture
def file(tmp_path):
    """4 s of speech after 2 s of silence, twice."""
    sound = np.tile(np.concatenate([np.zeros(32_000), np.full(64_000, 0.4)]), 2)
    write_flac(tmp_path / "call.flac", sound.astype(np.float32))
    return tmp_path / "call.flac"


def transcribe(file, recognizer, **options):
    transcriber = FileTranscriber(LoudIsSpeech(), VadSettings(), recognizer)
    return transcriber.transcribe(file, Request(), progress=lambda *_: None, **options)


def test_partials_grow_second_by_second_and_are_told_when_they_say_something_new(file):
    told = []
    result = transcribe(file, ReadingAlong(), tell_partial=lambda *new: told.append(new))
    assert [text for _, text in told] == ["one", "one two"] * 2
    assert [at_s for at_s, _ in told] == pytest.approx([2.7, 4.7, 8.7, 10.7], abs=0.05)
    assert len(result.segments) == 2


def test_nothing_is_read_along_unless_someone_wants_to_know(file):
    assert len(transcribe(file, Silent()).segments) == 2


def test_a_bundle_without_partials_says_so_in_a_sentence(file):
    with pytest.raises(RequestError, match="bundle tiny has no text for this request before an"):
        transcribe(file, Silent(), tell_partial=print)


def test_each_segment_is_told_as_soon_as_it_is_recognized(file):
    told = []
    result = transcribe(file, Silent(), tell=told.append)
    assert tuple(told) == result.segments


@pytest.mark.parametrize("claimed_s", [12.0, 1.0, 0.0])
def test_a_file_that_is_too_long_is_refused_whatever_its_header_says(file, claimed_s, monkeypatch):
    monkeypatch.setattr(WavFile, "duration_s", claimed_s)
    told = []
    with pytest.raises(AudioFileError, match="longer than 8 s"):
        transcribe(file, Silent(), tell=told.append, longest_s=8.0)
    assert len(told) == (0 if claimed_s > 8 else 1)


@pytest.mark.bundle
@pytest.mark.parametrize("bundle", ["whisper-base", "whisper-tiny.en"])
def test_whisper_says_when_each_word_was_said(program, sample, bundles, bundle):
    clip = sample / "en-dictate-record_help.flac"
    asked = ("transcribe", "--bundle", bundle, "--language", "en", "--format", "json")
    result = program.run(*asked, clip, EDGE_ASR_BUNDLES=str(bundles))
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    for segment in found["segments"]:
        words = segment["words"]
        assert " ".join(word["text"] for word in words) == segment["text"]
        times = [time for word in words for time in (word["start_s"], word["end_s"])]
        assert times == sorted(times)
        assert segment["start_s"] <= times[0] < times[-1] <= segment["end_s"] + 0.02
        assert all(0 < word["probability"] <= 1 for word in words)
    assert sum(len(segment["words"]) for segment in found["segments"]) > 5
