"""The voice encoder: its graph against torch, its features against their definition."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from edge_asr.errors import BundleError
from edge_asr.recognizers.features import HOP_LENGTH, N_FFT, mel_filters, mel_spectrogram
from edge_asr.recognizers.voice import (
    MODEL,
    N_MELS,
    WINDOW_FRAMES,
    VoiceEncoder,
    _window_starts,
    open_voice_encoder,
)
from edge_asr.sessions import Session
from export.errors import QualityError, SourceError
from export.voice import export_graph, load_network, parity


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return a file as Resemblyzer's, of a network that learnt nothing."""
    torch.manual_seed(4)
    lstm, linear = torch.nn.LSTM(N_MELS, 256, 3), torch.nn.Linear(256, 256)
    states = {f"lstm.{name}": value for name, value in lstm.state_dict().items()}
    states |= {f"linear.{name}": value for name, value in linear.state_dict().items()}
    states["similarity_weight"] = torch.ones(1)
    path = tmp_path_factory.mktemp("voice") / "pretrained.pt"
    torch.save({"model_state": states}, path)
    return path


@pytest.fixture(scope="module")
def graph(checkpoint):
    path = checkpoint.with_name("voice.onnx")
    export_graph(load_network(checkpoint), path)
    return path


def test_the_graph_computes_what_the_network_does(checkpoint, graph):
    assert parity(load_network(checkpoint), graph) < 1e-5


def test_another_network_is_found_out(checkpoint, graph, tmp_path):
    other = load_network(checkpoint)
    with torch.no_grad():
        other.linear.bias += torch.linspace(0.0, 1.0, 256)
    with pytest.raises(QualityError, match="differs from the network"):
        parity(other, graph)
    torch.save({"model_state": {}}, tmp_path / "other.pt")
    with pytest.raises(SourceError, match="not the network of Resemblyzer"):
        load_network(tmp_path / "other.pt")


def test_a_vector_has_length_one_whatever_the_speech_is_like(graph):
    encoder = VoiceEncoder(Session(graph, n_threads=1))
    speech = np.random.default_rng(5).standard_normal(5 * 16_000).astype(np.float32) / 30

    for sound in (speech, speech[:1], 0 * speech, speech[:20_000]):
        vector = encoder.embed(sound)
        assert vector.shape == (256,)
        assert vector.dtype == np.float32
        assert np.linalg.norm(vector) == pytest.approx(1.0, abs=1e-4)
    # Speech that is quieter than usual is raised to the usual loudness.
    np.testing.assert_allclose(
        encoder.embed(speech / 20), encoder.embed(speech / 40), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize(
    ("n_samples", "starts"),
    [
        (1, [0]),
        (25_600, [0]),
        (31_000, [0]),
        (31_600, [0, 77]),
        (80_000, [0, 77, 154, 231, 308]),
    ],
)
def test_windows_cover_the_speech_unless_little_of_the_last_one_is_filled(n_samples, starts):
    assert _window_starts(n_samples) == starts


def test_the_features_are_the_mel_bands_of_torchs_power_spectrum():
    sound = np.random.default_rng(6).standard_normal(16_000).astype(np.float32)
    spectrum = torch.stft(
        torch.from_numpy(sound),
        N_FFT,
        HOP_LENGTH,
        window=torch.hann_window(N_FFT),
        center=True,
        pad_mode="constant",
        return_complex=True,
    )
    wanted = spectrum.abs().square().numpy().T @ mel_filters(N_MELS)

    mel = mel_spectrogram(sound, n_mels=N_MELS, n_frames=WINDOW_FRAMES)

    np.testing.assert_allclose(mel[: len(wanted)], wanted, rtol=2e-3, atol=1e-4)
    assert not mel[len(wanted) + 1 :].any()


def test_a_bundle_for_other_features_is_refused():
    manifest = SimpleNamespace(model={**MODEL, "n_mels": 80})
    with pytest.raises(BundleError, match="export it again"):
        open_voice_encoder(SimpleNamespace(name="other", manifest=manifest))
