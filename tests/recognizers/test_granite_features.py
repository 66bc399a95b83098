"""Granite's NumPy features against torch, and against Transformers where it can be imported."""

import numpy as np
import pytest

from edge_asr.recognizers.granite_features import granite_features, mel_filters

FRONT_END = {"n_mels": 80, "n_fft": 512, "win_length": 400, "hop_length": 160}
LENGTHS = [257, 319, 320, 400, 480, 639, 640, 641, 1600, 16_001, 63_999, 64_000, 64_160, 480_000]


def noise(n_samples):
    random = np.random.default_rng(n_samples)
    loudness = np.linspace(0.001, 0.3, n_samples)  # the loudest bin is at the very end
    return (random.standard_normal(n_samples) * loudness).astype(np.float32)


def by_torch(waveform):
    """Return the features as torchaudio computes them: its arithmetic, with torch's own STFT."""
    torch = pytest.importorskip("torch", reason="the oracle is not installed")
    spectrum = torch.stft(
        torch.from_numpy(waveform),
        n_fft=512,
        hop_length=160,
        win_length=400,
        window=torch.hann_window(400),
        center=True,
        pad_mode="reflect",
        return_complex=True,
    )
    frequencies = torch.linspace(0, 8000, 257)
    highest = 2595 * np.log10(1 + 8000 / 700)
    edges = 700 * (10 ** (torch.linspace(0, highest, 82) / 2595) - 1)
    slopes = edges.unsqueeze(0) - frequencies.unsqueeze(1)
    down = -slopes[:, :-2] / edges.diff()[:-1]
    up = slopes[:, 2:] / edges.diff()[1:]
    filters = torch.clamp(torch.minimum(down, up), min=0)
    mel = (spectrum.abs() ** 2).T @ filters
    log_mel = mel.clip(min=1e-10).log10()
    scaled = torch.maximum(log_mel, log_mel.max() - 8.0) / 4 + 1
    n_frames = len(scaled) // 2
    return scaled[: 2 * n_frames].reshape(1, n_frames, 160).numpy()


@pytest.mark.export
@pytest.mark.parametrize("n_samples", LENGTHS)
def test_features_of_any_length_equal_those_of_torch(n_samples):
    expected = by_torch(noise(n_samples))
    found = granite_features(noise(n_samples), **FRONT_END)
    assert found.dtype == np.float32
    assert found.shape == expected.shape == (1, (n_samples // 160 + 1) // 2, 160)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.export
@pytest.mark.parametrize("n_samples", LENGTHS)
def test_features_equal_those_of_transformers_spectrogram(n_samples):
    pytest.importorskip("transformers", reason="the oracle is not installed")
    from export.granite_original import granite_features as by_transformers

    expected = by_transformers(noise(n_samples))
    found = granite_features(noise(n_samples), **FRONT_END)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.export
@pytest.mark.parametrize("n_samples", LENGTHS)
def test_features_equal_those_of_the_original_extractor(n_samples):
    pytest.importorskip("torchaudio", reason="Granite's extractor needs torchaudio")
    transformers = pytest.importorskip("transformers", reason="the oracle is not installed")
    extractor = transformers.GraniteSpeechFeatureExtractor()
    expected = extractor(noise(n_samples), return_tensors="np")["input_features"]
    found = granite_features(noise(n_samples), **FRONT_END)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("n_samples", [0, 1, 2, 100, 200, 201, 256])
def test_clips_too_short_for_the_original_are_one_frame(n_samples):
    found = granite_features(noise(n_samples), **FRONT_END)
    assert found.shape == (1, 1, 160)
    assert np.isfinite(found).all()


def test_digital_silence_is_one_value():
    found = granite_features(np.zeros(16_000, np.float32), **FRONT_END)
    np.testing.assert_allclose(found, -1.5, atol=1e-6)


def test_an_odd_last_frame_is_dropped_but_counts_for_the_loudest_bin():
    waveform = np.zeros(320 + 2 * 160, np.float32)  # five frames of 10 ms
    waveform[: 160 * 2] = 0.001 * noise(320) / 0.3
    waveform[-20:] = 1.0
    even = waveform[: 160 * 4 - 1]
    assert granite_features(waveform, **FRONT_END).shape[1] == 2
    assert granite_features(even, **FRONT_END).shape[1] == 2
    floor = granite_features(waveform, **FRONT_END)[0, 0].min()
    assert floor > granite_features(even[:400], **FRONT_END)[0, 0].min()


def test_mel_filters_peak_at_one_and_leave_no_bin_between_them_out():
    filters = mel_filters(80, 512)
    assert filters.shape == (257, 80)
    assert filters.min() == 0.0
    assert filters.max() <= 1.0
    np.testing.assert_allclose(filters[10:235].sum(axis=1), 1.0, atol=1e-5)
