"""A sound file as a source."""

import threading
import time

import numpy as np
import pytest
import soundfile

from edge_asr.capture.wavfile import CHUNK_S, WavFile
from edge_asr.errors import AudioFileError
from edge_asr.records import SAMPLE_RATE, AudioChunk, SourceState, SourceStatus

NOISE = np.random.default_rng(3).uniform(-0.5, 0.5, 3 * SAMPLE_RATE // 2).astype(np.float32)


@pytest.fixture
def wav(tmp_path):
    path = tmp_path / "shift-3.wav"
    soundfile.write(path, NOISE, SAMPLE_RATE, subtype="FLOAT")
    return path


def chunks_of(path, **options):
    with WavFile(path, threading.Event(), **options) as source:
        return [item for item in source if isinstance(item, AudioChunk)]


def test_it_gives_the_whole_file_in_chunks_like_a_microphones(wav):
    chunks = chunks_of(wav, realtime=False)
    np.testing.assert_array_equal(np.concatenate([chunk.waveform for chunk in chunks]), NOISE)
    assert {chunk.duration_s for chunk in chunks} == {CHUNK_S}


def test_instants_advance_with_the_sound(wav):
    chunks = chunks_of(wav, realtime=False)
    first = chunks[0].start
    assert [chunk.start.monotonic_ns - first.monotonic_ns for chunk in chunks] == [
        100_000_000 * index for index in range(len(chunks))
    ]
    assert chunks[-1].start.utc_ns - first.utc_ns == 1_400_000_000


def test_it_is_paced_like_a_microphone(wav):
    with WavFile(wav, threading.Event()) as source:
        items = [(time.monotonic_ns(), item) for item in source]
    start_ns = items[1][1].start.monotonic_ns
    for arrived_ns, item in items:
        if isinstance(item, AudioChunk):
            captured_ns = item.start.monotonic_ns + int(item.duration_s * 1e9)
            assert -1_000_000 <= arrived_ns - captured_ns < 300_000_000
    assert 1.5 <= (items[-1][0] - start_ns) / 1e9 < 2.0


def test_fast_is_fast(wav):
    started = time.monotonic()
    chunks_of(wav, realtime=False)
    assert time.monotonic() - started < 0.5


def test_it_says_what_it_is(wav):
    with WavFile(wav, threading.Event(), realtime=False) as source:
        assert source.name == "shift-3"
        first = next(iter(source))
    assert first == SourceStatus(SourceState.HEARING, "shift-3.wav, 16000 Hz, 1 channel")


def test_a_stop_ends_it_at_once(wav):
    stop = threading.Event()
    threading.Timer(0.35, stop.set).start()
    started = time.monotonic()
    with WavFile(wav, stop) as source:
        heard_s = sum(item.duration_s for item in source if isinstance(item, AudioChunk))
    assert time.monotonic() - started < 1.0
    assert heard_s < 0.5


def test_it_can_be_heard_again(wav):
    assert len(chunks_of(wav, realtime=False)) == len(chunks_of(wav, realtime=False)) == 15


@pytest.mark.parametrize(
    ("rate", "n_channels", "subtype"), [(8000, 2, "PCM_16"), (96_000, 1, "PCM_24")]
)
def test_any_rate_and_channels_become_16_khz_mono(tmp_path, rate, n_channels, subtype):
    seconds = np.arange(rate) / rate
    tone = 0.4 * np.sin(2 * np.pi * 500 * seconds)
    path = tmp_path / "tone.flac"
    soundfile.write(path, np.stack([tone] * n_channels, axis=1), rate, subtype=subtype)
    waveform = np.concatenate([chunk.waveform for chunk in chunks_of(path, realtime=False)])
    expected = 0.4 * np.sin(2 * np.pi * 500 * np.arange(SAMPLE_RATE) / SAMPLE_RATE)
    assert len(waveform) == SAMPLE_RATE
    np.testing.assert_allclose(waveform[400:-400], expected[400:-400], atol=2e-3)


def test_a_file_that_is_no_sound_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "notes.wav"
    path.write_text("buy milk")
    with pytest.raises(AudioFileError, match=r"notes\.wav: not a sound file"):
        chunks_of(path)


def test_a_truncated_file_gives_what_it_holds(wav):
    wav.write_bytes(wav.read_bytes()[: -4 * SAMPLE_RATE])
    waveform = np.concatenate([chunk.waveform for chunk in chunks_of(wav, realtime=False)])
    np.testing.assert_array_equal(waveform, NOISE[: len(waveform)])
    assert len(waveform) >= SAMPLE_RATE // 2 - 100
