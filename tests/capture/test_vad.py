"""Silero's detector from its bundle."""

import dataclasses

import msgspec
import numpy as np
import pytest
import soundfile

from edge_asr.bundle import open_bundle
from edge_asr.capture.vad import open_vad
from edge_asr.errors import BundleError

pytestmark = pytest.mark.bundle


@pytest.fixture(scope="module")
def bundle(bundles):
    return open_bundle(bundles / "silero-vad", family="silero-vad")


@pytest.fixture
def vad(bundle):
    return open_vad(bundle)


@pytest.fixture(scope="module")
def spoken(sample):
    waveform, rate = soundfile.read(sample / "demo.flac", dtype="float32")
    assert rate == 16_000
    return waveform[: 20 * rate // 512 * 512]


def test_silence_is_no_speech(vad):
    assert vad.probabilities(np.zeros(100 * 512, np.float32)).max() < 0.1


def test_noise_and_tones_are_no_speech(vad):
    rng = np.random.default_rng(5)
    noise = 0.05 * rng.standard_normal(100 * 512).astype(np.float32)
    assert vad.probabilities(noise)[10:].mean() < 0.2
    vad.reset()
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(100 * 512) / 16_000).astype(np.float32)
    assert np.median(vad.probabilities(tone)) < 0.2


def test_speech_is_speech(vad, spoken):
    probabilities = vad.probabilities(spoken)
    loud = np.abs(spoken).reshape(-1, 512).max(axis=1) > 0.1
    assert probabilities.dtype == np.float32
    assert probabilities[loud].mean() > 0.8
    assert (probabilities < 0.1).any()


@pytest.mark.parametrize("n_frames", [1, 3, 8])
def test_how_many_frames_a_call_takes_makes_no_difference(vad, n_frames):
    rng = np.random.default_rng(6)
    envelope = np.repeat(rng.uniform(0, 0.3, 60), 512)
    waveform = (envelope * rng.standard_normal(60 * 512)).astype(np.float32)
    whole = vad.probabilities(waveform)
    vad.reset()
    step = n_frames * 512
    pieces = [vad.probabilities(waveform[at : at + step]) for at in range(0, 60 * 512, step)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


def test_after_a_reset_it_remembers_nothing(vad):
    waveform = np.random.default_rng(7).uniform(-0.3, 0.3, 20 * 512).astype(np.float32)
    first = vad.probabilities(waveform)
    second = vad.probabilities(waveform)
    vad.reset()
    np.testing.assert_array_equal(vad.probabilities(waveform), first)
    assert not np.array_equal(first, second)


def test_no_frames_have_no_probabilities(vad):
    assert vad.probabilities(np.zeros(0, np.float32)).shape == (0,)


def test_parts_of_frames_are_refused(vad):
    with pytest.raises(ValueError, match="513 samples are not whole frames"):
        vad.probabilities(np.zeros(513, np.float32))


def test_a_detector_for_other_frames_is_refused(bundle):
    model = {**bundle.manifest.model, "frame_samples": 256}
    manifest = msgspec.structs.replace(bundle.manifest, model=model)
    with pytest.raises(BundleError, match="export it again"):
        open_vad(dataclasses.replace(bundle, manifest=manifest))
