"""Repair at start: what a kill or a power cut left behind is finished, none of it is thrown away.

Left behind can be

- an open utterance that nobody has the lock on: closed as ``recovered``; removed if its row is
  committed already, or if it has no sound; set aside in ``damaged/`` if its header cannot be read;
- an unfinished FLAC file: removed, since its open utterance has the same sound and more;
- a FLAC file without a row: adopted. Closing never leaves one without its open utterance, so the
  row was lost some other way (an older copy of the database was put back), and the file may be all
  that is left of what was said. It tells its source and its start itself; where it does not (older
  ones), they are marked as unknown.

Every step may be repeated, and two repairs may run at once.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from edge_asr.alarms import AlarmCode
from edge_asr.audio import read_comment, read_flac
from edge_asr.clock import now
from edge_asr.errors import AudioFileError, EdgeAsrError, StoreError
from edge_asr.records import ClockQuality, EndReason, Instant, Utterance
from edge_asr.store.alarms import Alarms
from edge_asr.store.audio_files import AUDIO, UNFINISHED_SUFFIX, audio_path, describe_audio
from edge_asr.store.closing import add_row, close_recording, find_by_uid
from edge_asr.store.events import EventKind, record
from edge_asr.store.files import file_errors, lock_file, make_directory, sync
from edge_asr.store.headers import UID, Header, parse_header
from edge_asr.store.recording import ANEW_SUFFIX, Recording, settle_anew
from edge_asr.store.removal import is_noted, unlink_noted

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.store.database import Database

OPEN = "open"
DAMAGED = "damaged"
UNKNOWN = "unknown"
"""The source and boot of an adopted file that does not tell them."""
_REPAIRS_PER_EVENT = 100
N_SWEPT_FOLDERS = 7
"""Audio folders to look through at a start, those that changed last: a repair must not read a
year of folders before it listens."""


@dataclass(frozen=True, slots=True)
class Recovered:
    """An open utterance was closed."""

    utterance: Utterance


@dataclass(frozen=True, slots=True)
class Adopted:
    """A FLAC file without a row was given one."""

    utterance: Utterance


@dataclass(frozen=True, slots=True)
class Removed:
    """A file was removed that had nothing to lose."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class SetAside:
    """A file that cannot be used was kept in ``damaged/``."""

    path: Path
    """Where it is now."""
    why: str


@dataclass(frozen=True, slots=True)
class Postponed:
    """A file could not be repaired this time; it is still where it was."""

    path: Path
    why: str


Repair = Recovered | Adopted | Removed | SetAside | Postponed


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a repair did, in order."""

    repairs: tuple[Repair, ...]

    @property
    def recovered(self) -> tuple[Utterance, ...]:
        """The utterances that are in the store since."""
        return tuple(r.utterance for r in self.repairs if isinstance(r, Recovered | Adopted))

    @property
    def problems(self) -> tuple[SetAside | Postponed, ...]:
        """What somebody should look at."""
        return tuple(r for r in self.repairs if isinstance(r, SetAside | Postponed))


def recover(database: Database, state_dir: Path) -> Recovery:
    """Finish what was left behind, and write down in the log what that was.

    What is being written by others is left alone.

    Raises:
        StoreError: the store's folders cannot be read.
    """
    unlink_noted(database, state_dir)
    with file_errors(state_dir):
        for fresh in (state_dir / OPEN).glob(f"*{ANEW_SUFFIX}"):
            settle_anew(fresh)
        left = [
            *sorted((state_dir / OPEN).glob("*.part")),
            *(path for folder in _swept(state_dir) for path in sorted(folder.iterdir())),
        ]
    recovery = Recovery(tuple(r for path in left if (r := _repair(database, state_dir, path))))
    _write_down(database, recovery)
    if n_adopted := sum(isinstance(repair, Adopted) for repair in recovery.repairs):
        why = (
            f"{n_adopted} utterances had sound and no row: an older copy of the database was put "
            "back, or its write-ahead log is gone"
        )
        Alarms(database).raise_alarm(AlarmCode.LOG_DAMAGED, "", why, moment=now())
    return recovery


def adopt(database: Database, state_dir: Path) -> Recovery:
    """Find the sound on disk that no row is about, wherever it is: for a database that lost some.

    Raises:
        StoreError: the store's folders cannot be read, or the database not be written.
    """
    with file_errors(state_dir):
        found = sorted((state_dir / AUDIO).glob("*/*/*/*.flac"))
    recovery = Recovery(tuple(r for path in found if (r := _repair(database, state_dir, path))))
    _write_down(database, recovery)
    return recovery


def _write_down(database: Database, recovery: Recovery) -> None:
    told = [_as_detail(repair) for repair in recovery.repairs if not isinstance(repair, Postponed)]
    for first in range(0, len(told), _REPAIRS_PER_EVENT):
        with database.transaction():
            repairs = told[first : first + _REPAIRS_PER_EVENT]
            record(database, EventKind.REPAIRED, {"repairs": repairs})


def _as_detail(repair: Repair) -> dict[str, str | int]:
    kind = type(repair).__name__.lower()
    if isinstance(repair, Recovered | Adopted):
        return {"repair": kind, "utterance": repair.utterance.utterance_id}
    return {"repair": kind, "file": repair.path.name, "why": repair.why}


def _repair(database: Database, state_dir: Path, path: Path) -> Repair | None:
    try:
        if path.parent.name == OPEN:
            return _repair_open(database, state_dir, path)
        if not UID.fullmatch(path.name.split(".")[0]):
            return None
        if (state_dir / OPEN / f"{path.name.split('.')[0]}.part").exists():
            return None  # being closed by another process right now
        if path.name.endswith(UNFINISHED_SUFFIX):
            path.unlink(missing_ok=True)
            return Removed(path, "an unfinished FLAC file")
        return _repair_flac(database, state_dir, path)
    except (EdgeAsrError, OSError) as error:
        return Postponed(path, str(error))


def _repair_open(database: Database, state_dir: Path, path: Path) -> Repair | None:
    descriptor = lock_file(path, create=False)
    if descriptor is None:
        return None  # being written by another process
    try:
        recording = Recording.resume(path, descriptor)
    except StoreError as error:
        # The lock ends after the file is out of the way: a listener may have just made it.
        with os.fdopen(descriptor) as file:
            if not os.fstat(file.fileno()).st_size:
                return _remove(path, "an open utterance without anything in it")
            return _set_aside(state_dir, path, str(error))
    try:
        if find_by_uid(database, recording.header.uid) is not None:
            return _remove(path, "an open utterance that was already closed")
        if not recording.n_samples:
            return _remove(path, "an open utterance without sound")
        n_samples, reason = recording.n_samples, EndReason.RECOVERED
        return Recovered(
            close_recording(database, state_dir, recording, n_samples=n_samples, reason=reason)
        )
    finally:
        recording.release()


def _repair_flac(database: Database, state_dir: Path, path: Path) -> Repair | None:
    uid = path.name.removesuffix(".flac")
    if find_by_uid(database, uid) is not None or path != state_dir / audio_path(uid):
        return None
    if is_noted(database, audio_path(uid)):
        return None  # being removed by another process right now
    try:
        n_samples = len(read_flac(path))
    except AudioFileError as error:
        return _set_aside(state_dir, path, str(error))
    header, audio = _header_of(path, uid), describe_audio(state_dir, path)
    return Adopted(
        add_row(database, header, audio, n_samples=n_samples, reason=EndReason.RECOVERED)
    )


def _header_of(path: Path, uid: str) -> Header:
    """Return what a FLAC file says of its utterance; of an older one, what its name says."""
    try:
        return parse_header(path, f"{read_comment(path)}\n".encode())
    except (AudioFileError, StoreError):
        began = datetime.strptime(f"{uid[:18]}000", "%Y%m%dT%H%M%S%f").replace(tzinfo=UTC)
        utc_ns = round(began.timestamp() * 1000) * 1_000_000
        return Header(uid, UNKNOWN, Instant(utc_ns, 0, UNKNOWN, ClockQuality.UNSYNCHRONISED))


def _remove(path: Path, why: str) -> Removed:
    path.unlink(missing_ok=True)
    return Removed(path, why)


def _set_aside(state_dir: Path, path: Path, why: str) -> SetAside:
    kept = state_dir / DAMAGED / path.name
    make_directory(kept.parent)
    path.replace(kept)
    sync(kept.parent)
    sync(path.parent)
    return SetAside(kept, why)


def _swept(state_dir: Path) -> list[Path]:
    folders = [path for path in (state_dir / AUDIO).glob("*/*/*") if path.is_dir()]
    folders.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return folders[:N_SWEPT_FOLDERS]
