"""The sound of one open device: PCM frames -> chunks in the inner form, and what was dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.audio import waveform_from_pcm16
from edge_asr.capture.resampling import Resampler, mono
from edge_asr.capture.timeline import Lost, Timeline
from edge_asr.clock import now
from edge_asr.records import AudioChunk, Gap, GapKind, Instant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edge_asr.capture.timeline import Placed
    from edge_asr.capture.wire import PcmFrames
    from edge_asr.records import Waveform


class DeviceStream:
    """Turns what one open device gives into chunks and gaps.

    Args:
        sample_rate: hertz, as it was opened.
        n_channels: as it was opened.
        channel: which one to hear, from 0; None mixes all of them.
    """

    def __init__(self, sample_rate: int, n_channels: int, channel: int | None) -> None:
        self._sample_rate = sample_rate
        self._n_channels = n_channels
        self._channel = channel
        self._timeline = Timeline(sample_rate)
        self._resampler = Resampler(sample_rate)
        self._end_ns = 0

    @property
    def has_sound(self) -> bool:
        """Whether any frames came."""
        return self._end_ns > 0

    def hear(self, frames: PcmFrames) -> Iterator[AudioChunk | Gap]:
        """Yield what is certain once ``frames`` came: sound, and sound that the driver dropped."""
        for item in self._timeline.place(frames):
            if isinstance(item, Lost):
                yield from self._flush()
                yield Gap(
                    GapKind.OVERFLOW,
                    instant_at(item.start_ns),
                    (item.end_ns - item.start_ns) / 1e9,
                    "the sound system dropped sound that was not read in time",
                )
            else:
                yield from self._chunk(item)

    def finish(self) -> Iterator[AudioChunk]:
        """Yield the rest; the device gives no more."""
        for placed in self._timeline.release():
            yield from self._chunk(placed)
        yield from self._flush()

    def _chunk(self, placed: Placed) -> Iterator[AudioChunk]:
        start_ns = placed.start_ns - self._resampler.pending_ns
        self._end_ns = placed.end_ns
        frames = waveform_from_pcm16(placed.pcm).reshape(-1, self._n_channels)
        yield from _chunk_of(self._resampler.push(mono(frames, self._channel)), start_ns)

    def _flush(self) -> Iterator[AudioChunk]:
        """Yield what the resampler holds; what follows is another stretch of sound."""
        start_ns = self._end_ns - self._resampler.pending_ns
        yield from _chunk_of(self._resampler.flush(), start_ns)
        self._resampler = Resampler(self._sample_rate)


def instant_at(monotonic_ns: int) -> Instant:
    """Return a moment of the recent past by every clock."""
    moment = now()
    return moment.shifted(monotonic_ns - moment.monotonic_ns)


def _chunk_of(waveform: Waveform, start_ns: int) -> Iterator[AudioChunk]:
    if len(waveform):
        yield AudioChunk(waveform, instant_at(start_ns))
