"""Sound in memory and in files: the one inner form, PCM at the border, the one door to soundfile.

Files are read in blocks, so that memory stays bounded however long (or however well compressed) a
file is, and what libsndfile lets through (NaN, infinities, values beyond full scale) stops here.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import soundfile

from edge_asr.errors import AudioFileError
from edge_asr.records import SAMPLE_RATE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge_asr.records import Waveform

Frames = np.ndarray[tuple[int, int], np.dtype[np.float32]]
"""float32, shape ``(n_frames, n_channels)``, at a device's or file's own rate."""

PCM16_SCALE = 32768
"""Full scale of 16-bit PCM, in both directions. Here and nowhere else."""
_PCM_KINDS = {1: ("u1", 128), 2: ("<i2", 0), 4: ("<i4", 0)}
"""Bytes of a sample -> NumPy's name for it, and which value is silence."""
_MAX_RATE = 768_000
_MAX_CHANNELS = 64
"""What a header may claim before it is taken for a damaged one."""
_MAX_STORED_SAMPLES = 1800 * SAMPLE_RATE
"""Half an hour; the longest utterance is of 4 minutes."""


def waveform_from_pcm16(pcm: bytes) -> Waveform:
    """Return the waveform of little-endian 16-bit mono PCM; an odd last byte is dropped."""
    whole = len(pcm) - len(pcm) % 2
    scale = np.float32(PCM16_SCALE)
    return np.frombuffer(pcm[:whole], dtype="<i2").astype(np.float32) / scale


def frames_from_pcm(pcm: bytes, width: int, n_channels: int) -> Frames:
    """Return the frames of little-endian PCM as it comes over a wire.

    Args:
        pcm: whole frames, channels interleaved.
        width: bytes of a sample: 1 (unsigned, as in WAV), 2 or 4.
        n_channels: how many there are.

    Raises:
        ValueError: another width, or a part of a frame.
    """
    kind, zero = _PCM_KINDS.get(width, ("", 0))
    if not kind or len(pcm) % (width * n_channels):
        raise ValueError(f"{len(pcm)} bytes are no frames of {n_channels} times {width} bytes")
    samples = np.frombuffer(pcm, dtype=kind).astype(np.float64) - zero
    scale = float(1 << (8 * width - 1))
    frames: Frames = (samples / scale).astype(np.float32).reshape(-1, n_channels)
    return frames


def pcm16_from_waveform(waveform: Waveform) -> bytes:
    """Return little-endian 16-bit PCM; what lies beyond full scale is clipped."""
    scaled = np.round(waveform * PCM16_SCALE)
    return np.clip(scaled, -PCM16_SCALE, PCM16_SCALE - 1).astype("<i2").tobytes()


def sanitized(frames: Frames) -> Frames:
    """Return ``frames`` with NaN as silence and everything else within [-1, 1]."""
    if np.isfinite(frames).all() and np.abs(frames).max(initial=0.0) <= 1.0:
        return frames
    return np.clip(np.nan_to_num(frames, nan=0.0, posinf=1.0, neginf=-1.0), -1.0, 1.0)


class Blocks:
    """The sound of an open file, sanitized, block by block."""

    def __init__(self, file: soundfile.SoundFile, block_frames: int) -> None:
        self._file = file
        self._block_frames = block_frames
        self.n_invalid = 0
        """How many values were no numbers until now."""

    def __iter__(self) -> Iterator[Frames]:
        while len(frames := self._read()):
            self.n_invalid += int(np.count_nonzero(~np.isfinite(frames)))
            yield sanitized(frames)

    def _read(self) -> Frames:
        frames: Frames = self._file.read(self._block_frames, dtype="float32", always_2d=True)
        return frames


@dataclass(frozen=True, slots=True)
class SoundFile:
    """An open sound file."""

    sample_rate: int
    """Hertz."""
    n_channels: int
    duration_s: float
    """As the header claims; a truncated file holds less."""
    blocks: Blocks
    """Its sound, sanitized, in blocks of about the requested length."""


@contextmanager
def open_sound_file(path: Path, block_s: float) -> Iterator[SoundFile]:
    """Open any file that libsndfile reads (WAV, FLAC, Ogg, MP3, ...), at its own rate and channels.

    A truncated file yields what it still holds.

    Raises:
        AudioFileError: the file is missing, empty, a directory, or no sound that can be read.
    """
    _check_readable(path)
    try:
        with soundfile.SoundFile(path) as file:
            if not (0 < file.samplerate <= _MAX_RATE and 0 < file.channels <= _MAX_CHANNELS):
                raise AudioFileError(
                    f"{path}: its header claims {file.samplerate} Hz and {file.channels} channels; "
                    "the file is damaged",
                )
            block_frames = max(1, int(block_s * file.samplerate))
            yield SoundFile(
                file.samplerate,
                file.channels,
                file.frames / file.samplerate,
                Blocks(file, block_frames),
            )
    except soundfile.LibsndfileError as error:
        raise AudioFileError(f"{path}: not a sound file that can be read ({error})") from error


def _check_readable(path: Path) -> None:
    try:
        if path.is_dir():
            raise AudioFileError(f"{path}: is a directory; name the sound files in it")
        with path.open("rb") as file:
            if not file.read(1):
                raise AudioFileError(f"{path}: the file is empty")
    except FileNotFoundError as error:
        raise AudioFileError(f"{path}: no such file") from error
    except OSError as error:
        raise AudioFileError(f"{path}: {error.strerror}") from error


def write_flac(path: Path, waveform: Waveform, comment: str = "") -> None:
    """Write ``waveform`` as 16 kHz mono 16-bit FLAC. Durability is the caller's business.

    Args:
        path: where to.
        waveform: the sound.
        comment: is kept in the file, beside the sound.

    Raises:
        AudioFileError: the file cannot be written.
    """
    pcm = np.frombuffer(pcm16_from_waveform(waveform), dtype="<i2")
    try:
        with soundfile.SoundFile(
            path, "w", SAMPLE_RATE, 1, format="FLAC", subtype="PCM_16"
        ) as file:
            if comment:
                file.comment = comment
            file.write(pcm)
    except soundfile.LibsndfileError as error:
        raise AudioFileError(f"{path}: cannot be written ({error})") from error


def read_comment(path: Path) -> str:
    """Return the comment that :func:`write_flac` left; empty if there is none.

    Raises:
        AudioFileError: the file is missing or damaged.
    """
    _check_readable(path)
    try:
        with soundfile.SoundFile(path) as file:
            return str(file.comment)
    except (soundfile.LibsndfileError, UnicodeDecodeError) as error:
        raise AudioFileError(f"{path}: its comment cannot be read ({error})") from error


def read_flac(path: Path) -> Waveform:
    """Return the waveform that :func:`write_flac` stored.

    Raises:
        AudioFileError: the file is missing or damaged, or holds what is never stored.
    """
    blocks, n_samples = [], 0
    with open_sound_file(path, block_s=60.0) as file:
        if (file.sample_rate, file.n_channels) != (SAMPLE_RATE, 1):
            raise AudioFileError(
                f"{path}: {file.sample_rate} Hz, {file.n_channels} channels; what is stored has "
                f"{SAMPLE_RATE} Hz and one"
            )
        for frames in file.blocks:
            n_samples += len(frames)
            if n_samples > _MAX_STORED_SAMPLES:
                raise AudioFileError(f"{path}: longer than any utterance")
            blocks.append(frames[:, 0])
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
