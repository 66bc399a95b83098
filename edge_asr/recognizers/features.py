"""Log-mel features in NumPy.

The definition is that of OpenAI's Whisper (``whisper/audio.py``), which Transformers'
``WhisperFeatureExtractor`` follows; tests hold it against the latter.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from edge_asr.records import Waveform

N_FFT = 400
"""Samples of one STFT frame: 25 ms."""
HOP_LENGTH = 160
"""Samples between frames: 10 ms."""
N_BINS = N_FFT // 2 + 1
_FLOOR = 1e-10
"""Power below which the logarithm is taken of this."""
_DYNAMIC_RANGE = 8.0
"""Decades below the loudest bin at which features are cut off."""

Features = np.ndarray[tuple[int, int, int], np.dtype[np.float32]]
"""float32, shape ``(batch, n_mels, n_frames)``."""


def log_mel_spectrogram(waveform: Waveform, *, n_mels: int, n_frames: int) -> Features:
    """Return the features of ``waveform``, as if silence followed it to the end of the window.

    Frames that lie in that silence are all the same; they are filled in, not computed.

    Args:
        waveform: float32, shape ``(n_samples,)``, 16 kHz.
        n_mels: mel bands.
        n_frames: columns of 10 ms to return; sound beyond them is ignored.

    Returns:
        Shape ``(1, n_mels, n_frames)``.
    """
    n_samples = n_frames * HOP_LENGTH
    sound = waveform[:n_samples]
    # The window of frame i is centred on sample 160 i: the last one that touches sound.
    n_sounding = min(n_frames, -(-(len(sound) + N_FFT // 2) // HOP_LENGTH) + 1)
    power = np.zeros((n_frames, N_BINS), dtype=np.float32)
    power[:n_sounding] = _power_spectrum(sound, n_samples, n_sounding)
    mel = power[:n_sounding] @ mel_filters(n_mels)
    log_mel = np.full((n_frames, n_mels), np.log10(_FLOOR), dtype=np.float32)
    log_mel[:n_sounding] = np.log10(np.maximum(mel, _FLOOR))
    log_mel = np.maximum(log_mel, log_mel.max() - _DYNAMIC_RANGE)
    return np.ascontiguousarray(((log_mel + 4.0) / 4.0).T[np.newaxis], dtype=np.float32)


def mel_spectrogram(waveform: Waveform, *, n_mels: int, n_frames: int) -> np.ndarray:
    """Return the power in each mel band, without a logarithm, as if silence surrounded the sound.

    As ``librosa.feature.melspectrogram(sr=16000, n_fft=400, hop_length=160)`` computes it.

    Returns:
        float32, shape ``(n_frames, n_mels)``.
    """
    half = N_FFT // 2
    padded = np.zeros(half + n_frames * HOP_LENGTH + N_FFT, dtype=np.float32)
    sound = waveform[: len(padded) - half]
    padded[half : half + len(sound)] = sound
    mel: np.ndarray = _power_of_frames(padded)[:n_frames].astype(np.float32) @ mel_filters(n_mels)
    return mel


def _power_spectrum(sound: Waveform, n_samples: int, n_frames: int) -> np.ndarray:
    """Return |STFT|² of the first ``n_frames`` frames, shape ``(n_frames, N_BINS)``."""
    half = N_FFT // 2
    n_needed = (n_frames - 1) * HOP_LENGTH + N_FFT
    padded = np.zeros(max(n_needed, half + len(sound) + half), dtype=np.float32)
    padded[half : half + len(sound)] = sound
    # centre=True, pad_mode="reflect": samples 1..200 mirrored before the start, and, when sound
    # fills the window, its last ones mirrored after the end.
    head = padded[half + 1 : 2 * half + 1][::-1]
    padded[:half] = head
    if len(sound) == n_samples:
        end = half + n_samples
        padded[end : end + half] = padded[end - half - 1 : end - 1][::-1]
    return _power_of_frames(padded[:n_needed])


def _power_of_frames(padded: Waveform) -> np.ndarray:
    """Return |STFT|² of each frame that fits into the sound, shape ``(n_frames, N_BINS)``."""
    frames = np.lib.stride_tricks.sliding_window_view(padded, N_FFT)[::HOP_LENGTH]
    spectrum = np.fft.rfft(frames * _hann_window(), axis=1)
    return np.square(spectrum.real) + np.square(spectrum.imag)


@cache
def _hann_window() -> np.ndarray:
    """Return the periodic Hann window, shape ``(N_FFT,)``."""
    return (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)).astype(np.float32)


@cache
def mel_filters(n_mels: int) -> np.ndarray:
    """Return the triangular mel filters, shape ``(N_BINS, n_mels)``.

    Slaney's mel scale (linear below 1 kHz, logarithmic above) with each filter's area
    normalised, as ``librosa.filters.mel(sr=16000, n_fft=400)`` computes them.
    """
    bins_hz = np.linspace(0, SAMPLE_RATE / 2, N_BINS)
    edges_hz = _hz_from_mel(np.linspace(0, _mel_from_hz(SAMPLE_RATE / 2), n_mels + 2))
    width_hz = np.diff(edges_hz)
    slopes = edges_hz[np.newaxis, :] - bins_hz[:, np.newaxis]
    rising = -slopes[:, :-2] / width_hz[:-1]
    falling = slopes[:, 2:] / width_hz[1:]
    triangles = np.maximum(0.0, np.minimum(rising, falling))
    filters: np.ndarray = triangles * (2.0 / (edges_hz[2:] - edges_hz[:-2]))
    return filters.astype(np.float32)


_LINEAR_HZ_PER_MEL = 200.0 / 3
_LOG_FROM_HZ = 1000.0
_LOG_FROM_MEL = _LOG_FROM_HZ / _LINEAR_HZ_PER_MEL
_LOG_STEP = np.log(6.4) / 27.0
"""Slaney's Auditory Toolbox: 27 steps for each factor of 6.4."""


def _mel_from_hz(hz: float) -> float:
    return float(_LOG_FROM_MEL + np.log(hz / _LOG_FROM_HZ) / _LOG_STEP)


def _hz_from_mel(mel: np.ndarray) -> np.ndarray:
    linear = mel * _LINEAR_HZ_PER_MEL
    logarithmic = _LOG_FROM_HZ * np.exp(_LOG_STEP * (mel - _LOG_FROM_MEL))
    return np.where(mel < _LOG_FROM_MEL, linear, logarithmic)
