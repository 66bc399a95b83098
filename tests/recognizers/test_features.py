"""The NumPy features against Transformers' feature extractor."""

import numpy as np
import pytest

from edge_asr.recognizers.features import log_mel_spectrogram, mel_filters


@pytest.fixture(scope="module")
def extractor():
    transformers = pytest.importorskip("transformers", reason="the oracle is not installed")
    return transformers.WhisperFeatureExtractor()


@pytest.mark.export
@pytest.mark.parametrize(
    "n_samples",
    [1, 100, 199, 200, 201, 399, 400, 401, 1600, 16_001, 80_000, 479_799, 479_841, 480_000],
)
def test_features_of_any_length_equal_those_of_transformers(extractor, n_samples):
    rng = np.random.default_rng(n_samples)
    waveform = (rng.standard_normal(n_samples) * 0.1).astype(np.float32)
    expected = extractor(waveform, sampling_rate=16_000, return_tensors="np").input_features
    actual = log_mel_spectrogram(waveform, n_mels=80, n_frames=3000)
    assert actual.dtype == np.float32
    assert actual.shape == expected.shape == (1, 80, 3000)
    np.testing.assert_allclose(actual, expected, atol=2e-4)


@pytest.mark.export
def test_the_mel_filters_equal_those_of_transformers(extractor):
    np.testing.assert_allclose(mel_filters(80), extractor.mel_filters, atol=1e-6)


def test_silence_has_one_value_throughout():
    features = log_mel_spectrogram(np.zeros(16_000, np.float32), n_mels=80, n_frames=3000)
    np.testing.assert_allclose(features, -1.5, atol=1e-6)


def test_sound_beyond_the_window_is_ignored():
    rng = np.random.default_rng(0)
    waveform = (rng.standard_normal(32_000) * 0.1).astype(np.float32)
    long = log_mel_spectrogram(waveform, n_mels=80, n_frames=100)
    cut = log_mel_spectrogram(waveform[:16_000], n_mels=80, n_frames=100)
    np.testing.assert_array_equal(long, cut)


def test_no_sound_at_all_is_silence():
    features = log_mel_spectrogram(np.zeros(0, np.float32), n_mels=80, n_frames=10)
    np.testing.assert_allclose(features, -1.5, atol=1e-6)
