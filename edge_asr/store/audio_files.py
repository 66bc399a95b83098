"""Closed utterances as files: ``audio/YYYY/MM/DD/<uid>.flac``.

A FLAC file is written aside, read back, synchronised, renamed, and its folder synchronised: a file
under its final name is whole.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.audio import pcm16_from_waveform, read_flac, write_flac
from edge_asr.errors import AudioFileError, DiskRefusesError, StoreError
from edge_asr.store.files import OWNER_ONLY, file_errors, make_directory, sync
from edge_asr.store.headers import UID, header_line

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.records import Waveform
    from edge_asr.store.headers import Header

AUDIO = "audio"
UNFINISHED_SUFFIX = ".flac.part"


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A finished file."""

    path: str
    """Relative to the state directory."""
    sha256: str
    n_bytes: int


def audio_path(uid: str) -> str:
    """Return where an utterance's sound belongs, relative to the state directory."""
    return f"{AUDIO}/{uid[:4]}/{uid[4:6]}/{uid[6:8]}/{uid}.flac"


def check_audio_path(uid: str, relative: str) -> None:
    """Check that a row names the file that belongs to it: it may lead nowhere else.

    Raises:
        ValueError: it names another one.
    """
    if not UID.fullmatch(uid) or relative != audio_path(uid):
        raise ValueError(f"{relative!r} is no place of the sound of {uid!r}")


def is_audio_path(relative: str) -> bool:
    """Say whether this can be a file that a store made."""
    uid = relative.rpartition("/")[2].removesuffix(".flac")
    return bool(UID.fullmatch(uid)) and relative == audio_path(uid)


def store_audio(state_dir: Path, header: Header, waveform: Waveform) -> AudioFile:
    """Write an utterance's FLAC file durably. Doing it again gives the same file.

    The file has the utterance's name, source and start as its comment: should its row be lost, it
    tells them.

    Raises:
        StoreError: the disk refuses, or gives back something else than was written.
    """
    path = state_dir / audio_path(header.uid)
    unfinished = path.with_suffix(UNFINISHED_SUFFIX)
    with file_errors(path):
        make_directory(path.parent)
        unfinished.touch(OWNER_ONLY)
        _write_checked(unfinished, waveform, header_line(header).decode("ascii").strip())
        sync(unfinished)
        described = describe_audio(state_dir, unfinished)
        unfinished.replace(path)
        sync(path.parent)
    return AudioFile(audio_path(header.uid), described.sha256, described.n_bytes)


def _write_checked(path: Path, waveform: Waveform, comment: str) -> None:
    """Write a FLAC file; a disk that is full or lies shows when it is read back."""
    try:
        write_flac(path, waveform, comment)
        returned = read_flac(path)
    except AudioFileError as error:
        raise DiskRefusesError(f"{error}; is the disk full?") from error
    if pcm16_from_waveform(returned) != pcm16_from_waveform(waveform):
        raise DiskRefusesError(
            f"{path}: reads back differently than it was written; check the disk"
        )


def describe_audio(state_dir: Path, path: Path) -> AudioFile:
    """Return the checksum and size of a file.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return AudioFile(str(path.relative_to(state_dir)), digest, file.tell())


def load_audio(state_dir: Path, relative: str, sha256: str) -> Waveform:
    """Return the sound of a closed utterance, after its checksum.

    Raises:
        StoreError: the file is missing, or not what was stored.
        AudioFileError: it is what was stored, and yet no sound.
    """
    path = state_dir / relative
    with file_errors(path):
        if describe_audio(state_dir, path).sha256 != sha256:
            raise StoreError(
                f"{path}: does not match its checksum; the file was damaged or changed"
            )
    return read_flac(path)
