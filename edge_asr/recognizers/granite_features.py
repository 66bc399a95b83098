"""Granite Speech's log-mel features in NumPy.

The definition is that of Transformers' ``GraniteSpeechFeatureExtractor``: torchaudio's
``MelSpectrogram`` with its defaults, the logarithm cut off eight decades below the loudest bin of
the clip, and two frames of 10 ms made into one. Tests hold it against torch.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from edge_asr.records import Waveform

FRAME_S = 0.02
"""Length of one of the encoder's frames: two hops."""
_STACKED = 2
_FLOOR = 1e-10
"""Power below which the logarithm is taken of this."""
_DYNAMIC_RANGE = 8.0
"""Decades below the loudest bin at which features are cut off."""

GraniteFeatures = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""float32, shape ``(1, n_frames, 2 * n_mels)``, frames of 20 ms."""


def granite_features(
    waveform: Waveform, *, n_mels: int, n_fft: int, win_length: int, hop_length: int
) -> GraniteFeatures:
    """Return the features of a clip.

    Args:
        waveform: float32, shape ``(n_samples,)``, 16 kHz. The original refuses clips of up to
            ``n_fft // 2`` samples (16 ms); here silence is appended to them.
        n_mels: mel bands.
        n_fft: points of the Fourier transform.
        win_length: samples of one window.
        hop_length: samples between windows.

    Returns:
        Shape ``(1, n_frames, 2 * n_mels)``, where n_frames is ``(n_samples // hop_length + 1) //
        2``: a last odd frame is dropped, but counts for the clip's loudest bin.
    """
    n_missing = max(0, n_fft // 2 + 1 - len(waveform))
    sound = np.pad(waveform, (0, n_missing))
    power = _power_spectrum(sound, n_fft, win_length, hop_length)
    log_mel = np.log10(np.maximum(power @ mel_filters(n_mels, n_fft), _FLOOR))
    scaled = np.maximum(log_mel, log_mel.max() - _DYNAMIC_RANGE) / 4.0 + 1.0
    n_frames = len(scaled) // _STACKED
    stacked = scaled[: n_frames * _STACKED].reshape(1, n_frames, _STACKED * n_mels)
    return np.ascontiguousarray(stacked, dtype=np.float32)


def _power_spectrum(sound: Waveform, n_fft: int, win_length: int, hop_length: int) -> np.ndarray:
    """Return |STFT|², shape ``(n_samples // hop_length + 1, n_fft // 2 + 1)``.

    torch centres a short window in ``n_fft`` points. Only its own samples are cut out here: where
    in the transform they lie changes phases, not power.
    """
    padded = np.pad(sound, win_length // 2, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, win_length)[::hop_length]
    spectrum = np.fft.rfft(frames * _hann_window(win_length), n=n_fft, axis=1)
    power: np.ndarray = np.square(spectrum.real) + np.square(spectrum.imag)
    return power


@cache
def _hann_window(length: int) -> np.ndarray:
    """Return the periodic Hann window, shape ``(length,)``."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(length) / length)).astype(np.float32)


@cache
def mel_filters(n_mels: int, n_fft: int) -> np.ndarray:
    """Return the triangular mel filters, shape ``(n_fft // 2 + 1, n_mels)``.

    HTK's mel scale, each triangle 1 at its peak: ``torchaudio.functional.melscale_fbanks`` with
    its defaults.
    """
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, n_fft // 2 + 1)
    edges_hz = _hz_from_mel(np.linspace(0, _mel_from_hz(SAMPLE_RATE / 2), n_mels + 2))
    width_hz = np.diff(edges_hz)
    slopes = edges_hz[np.newaxis, :] - bins_hz[:, np.newaxis]
    rising = -slopes[:, :-2] / width_hz[:-1]
    falling = slopes[:, 2:] / width_hz[1:]
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)


_MEL_SCALE = 2595.0
_MEL_CORNER_HZ = 700.0
"""HTK Book, section 5.4: mel = 2595 log10(1 + f / 700)."""


def _mel_from_hz(hz: float) -> float:
    return float(_MEL_SCALE * np.log10(1.0 + hz / _MEL_CORNER_HZ))


def _hz_from_mel(mel: np.ndarray) -> np.ndarray:
    hz: np.ndarray = _MEL_CORNER_HZ * (10.0 ** (mel / _MEL_SCALE) - 1.0)
    return hz
