"""The sound that one client sends, cut into utterances as a microphone's is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.audio import frames_from_pcm, sanitized
from edge_asr.capture.hearing import Hearing
from edge_asr.capture.resampling import Resampler, mono
from edge_asr.errors import AudioFileError
from edge_asr.records import SAMPLE_RATE, EndReason
from edge_asr.transcribe import Collector

if TYPE_CHECKING:
    from edge_asr.capture.vad import SileroVad
    from edge_asr.config import VadSettings
    from edge_asr.records import Waveform
    from edge_asr.transcribe import Stretch

RATES = range(8_000, 192_001)
WIDTHS = (1, 2, 4)
CHANNELS = range(1, 9)


class Ear:
    """Hears one request.

    Args:
        vad: a detector of its own.
        settings: what an utterance is.
        sample_rate: of the sound, hertz.
        width: bytes of a sample.
        n_channels: how many there are; they are mixed.
        longest_s: how much sound there may be.

    Raises:
        AudioFileError: such sound is not understood.
    """

    def __init__(
        self,
        vad: SileroVad,
        settings: VadSettings,
        *,
        sample_rate: int,
        width: int,
        n_channels: int,
        longest_s: float,
    ) -> None:
        if sample_rate not in RATES or width not in WIDTHS or n_channels not in CHANNELS:
            raise AudioFileError(
                f"{sample_rate} Hz, {width} bytes, {n_channels} channels: send PCM of 8000 to "
                "192000 Hz, 1, 2 or 4 bytes a sample, 1 to 8 channels"
            )
        self.format = (sample_rate, width, n_channels)
        """Rate, width and channels of the sound."""
        self._longest_s = longest_s
        self._resampler = Resampler(sample_rate)
        self._hearing = Hearing(vad, settings)
        self._collector = Collector()
        self._rest = b""

    @property
    def heard_s(self) -> float:
        """Seconds of sound until now."""
        return self._hearing.n_heard / SAMPLE_RATE

    def hear(self, pcm: bytes) -> list[Stretch]:
        """Hear the next sound, and return the utterances that ended in it.

        Raises:
            AudioFileError: there is too much of it.
        """
        _, width, n_channels = self.format
        pcm = self._rest + pcm
        n_whole = len(pcm) - len(pcm) % (width * n_channels)
        self._rest = pcm[n_whole:]
        frames = frames_from_pcm(pcm[:n_whole], width, n_channels)
        return self._take(self._resampler.push(mono(sanitized(frames))))

    def finish(self) -> list[Stretch]:
        """Return the last utterances: nothing more will come.

        Raises:
            AudioFileError: there is too much sound.
        """
        stretches = self._take(self._resampler.flush())
        return [*stretches, *self._collector.collect(self._hearing.finish(EndReason.END_OF_SOURCE))]

    def _take(self, waveform: Waveform) -> list[Stretch]:
        if self.heard_s + len(waveform) / SAMPLE_RATE > self._longest_s:
            raise AudioFileError(f"more than {self._longest_s:.0f} s of sound; send it in parts")
        return list(self._collector.collect(self._hearing.hear(waveform)))
