"""From a device's or a file's frames to the one inner form. The one door to soxr."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import soxr

from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from edge_asr.audio import Frames
    from edge_asr.records import Waveform


def mono(frames: Frames, channel: int | None = None) -> Waveform:
    """Return one channel of ``frames``, or the mean of all.

    Args:
        frames: shape ``(n_frames, n_channels)``.
        channel: which one, from 0; None mixes all of them.
    """
    if frames.shape[1] == 1:
        channel = 0
    if channel is not None:
        return np.ascontiguousarray(frames[:, channel])
    mean: Waveform = frames.mean(axis=1, dtype=np.float32)
    return mean


def in_words(sample_rate: int, n_channels: int) -> str:
    """Return what form a stream has, for a person: ``48000 Hz, 2 channels``."""
    return f"{sample_rate} Hz, {n_channels} channel" + ("" if n_channels == 1 else "s")


class Resampler:
    """Brings one unbroken stream of mono sound to 16 kHz.

    Args:
        sample_rate: the stream's own rate, hertz. At 16 kHz the sound passes through unchanged.
    """

    def __init__(self, sample_rate: int) -> None:
        self._sample_rate = sample_rate
        self._stream = (
            None
            if sample_rate == SAMPLE_RATE
            else soxr.ResampleStream(sample_rate, SAMPLE_RATE, 1, dtype="float32")
        )
        self._n_in = 0
        self._n_out = 0

    @property
    def pending_ns(self) -> int:
        """How much sound went in that has not come out yet, nanoseconds."""
        return (
            self._n_in * 1_000_000_000 // self._sample_rate
            - self._n_out * 1_000_000_000 // SAMPLE_RATE
        )

    def push(self, samples: Waveform) -> Waveform:
        """Return what is ready at 16 kHz, which may be nothing yet."""
        return self._resample(samples, last=False)

    def flush(self) -> Waveform:
        """Return the rest, and end the stream."""
        return self._resample(np.zeros(0, np.float32), last=True)

    def _resample(self, samples: Waveform, *, last: bool) -> Waveform:
        self._n_in += len(samples)
        if self._stream is None:
            waveform = samples
        else:
            waveform = self._stream.resample_chunk(samples, last=last)
            # The filter overshoots where the sound is at full scale.
            waveform = np.clip(waveform, -1.0, 1.0)
        self._n_out += len(waveform)
        return waveform
