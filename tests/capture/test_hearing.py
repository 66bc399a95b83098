"""Calm sound waits, and nothing of what comes of it changes."""

import json

import numpy as np
import pytest

from edge_asr.audio import read_flac
from edge_asr.bundle import open_bundle
from edge_asr.capture.hearing import Hearing
from edge_asr.capture.segmenter import SpeechContinued, SpeechEnded, SpeechStarted
from edge_asr.capture.vad import open_vad
from edge_asr.evaluation.systems import read_waveform
from edge_asr.records import EndReason
from edge_asr.settings import VadSettings

CHUNK = 1600


class CountingDetector:
    """Takes for speech what is loud, and notes how much it was asked at a time."""

    def __init__(self):
        self.asked = []

    def reset(self):
        pass

    def probabilities(self, waveform):
        self.asked.append(len(waveform) // 512)
        return (np.abs(waveform.reshape(-1, 512)).max(axis=1) > 0.1).astype(np.float32)


def noise(seconds, dbfs, seed=1):
    loud = np.random.default_rng(seed).standard_normal(int(seconds * 16_000))
    return (10 ** (dbfs / 20) * loud).astype(np.float32)


def tone(seconds):
    return (0.5 * np.sin(0.17 * np.arange(int(seconds * 16_000)))).astype(np.float32)


def utterances(hearing, sound):
    """Return each utterance's first sample, end and sound."""
    events = []
    for at in range(0, len(sound), CHUNK):
        events += hearing.hear(sound[at : at + CHUNK])
    events += hearing.finish(EndReason.END_OF_SOURCE)
    found, parts = [], []
    for event in events:
        if isinstance(event, SpeechStarted):
            parts = [event.waveform]
        elif isinstance(event, SpeechContinued):
            parts.append(event.waveform)
        elif isinstance(event, SpeechEnded):
            found.append((event, np.concatenate(parts)[: event.n_samples]))
    return found


def same(one, other):
    assert [event for event, _ in one] == [event for event, _ in other]
    for (_, sound), (_, sound_too) in zip(one, other, strict=True):
        np.testing.assert_array_equal(sound, sound_too)


def test_steady_noise_is_heard_in_large_pieces_and_all_of_it():
    detector = CountingDetector()
    hearing = Hearing(detector, VadSettings())
    for _ in range(200):
        assert hearing.hear(noise(0.1, -50)) == []
    hearing.finish(EndReason.END_OF_SOURCE)
    assert sum(detector.asked) == 625  # 20 s, to the last frame
    assert np.median(detector.asked) >= 48


def test_what_is_louder_than_the_noise_is_heard_at_once():
    hearing = Hearing(CountingDetector(), VadSettings())
    for _ in range(15):
        hearing.hear(noise(0.1, -50))
    first, *_ = hearing.hear(tone(0.1))
    assert isinstance(first, SpeechStarted)


def test_while_somebody_speaks_and_in_the_pause_after_nothing_waits():
    detector = CountingDetector()
    hearing = Hearing(detector, VadSettings())
    for _ in range(15):
        hearing.hear(noise(0.1, -50))
    hearing.hear(tone(0.5))
    assert hearing.is_attentive
    detector.asked.clear()
    for _ in range(20):
        hearing.hear(noise(0.1, -50))
    assert len(detector.asked) == 20
    for _ in range(20):
        hearing.hear(noise(0.1, -50))
    assert not hearing.is_attentive


def test_what_waits_before_a_gap_is_heard_before_it():
    detector = CountingDetector()
    hearing = Hearing(detector, VadSettings())
    hearing.hear(noise(0.512, -50))
    hearing.hear(noise(0.512, -50))
    assert sum(detector.asked) == 16
    hearing.finish(EndReason.INTERRUPTED)
    assert sum(detector.asked) == 32


def test_a_detector_that_is_asked_late_finds_the_same():
    sound = np.concatenate(
        [noise(4, -50), tone(1), noise(7, -50), tone(0.4), noise(0.2, -50), tone(3), noise(4, -30)]
    )
    waiting = utterances(Hearing(CountingDetector(), VadSettings()), sound)
    at_once = utterances(Hearing(CountingDetector(), VadSettings(), longest_wait_s=0), sound)
    assert len(at_once) == 2
    same(waiting, at_once)


def compare(bundles, clips, dbfs):
    """Hear clips with noise around them, at once and as it is; return how many utterances."""
    parts = [noise(6, dbfs, seed=9)]
    for number, clip in enumerate(clips):
        parts += [clip, noise(5, dbfs, seed=number)]
    sound = np.concatenate(parts)
    bundle = open_bundle(bundles / "silero-vad", family="silero-vad")
    waiting = utterances(Hearing(open_vad(bundle), VadSettings()), sound)
    at_once = utterances(Hearing(open_vad(bundle), VadSettings(), longest_wait_s=0), sound)
    same(waiting, at_once)
    return len(waiting)


@pytest.mark.bundle
@pytest.mark.parametrize("dbfs", [-200, -66, -40])
def test_silero_finds_the_same_speech_in_the_sample(bundles, sample, dbfs):
    assert compare(bundles, [read_flac(sample / "demo.flac")], dbfs) >= 2


@pytest.mark.bundle
@pytest.mark.speech
def test_silero_finds_the_same_speech_in_real_clips_loud_and_soft(bundles, speech):
    rows = map(json.loads, (speech / "manifest.jsonl").read_text().splitlines())
    short = [row["path"] for row in rows if 1 < row["duration_s"] < 5][::6]
    clips = [read_waveform(speech / path) for path in short]
    assert len(clips) >= 10
    assert compare(bundles, clips, -60) >= len(clips) // 2
    assert compare(bundles, [clip * 0.02 for clip in clips], -70) >= len(clips) // 3
