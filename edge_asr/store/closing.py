"""Closing an utterance: from its open file to a FLAC file and a row.

The order is what makes it safe: the open file is synchronised, the FLAC file is durable under its
final name, the row is committed, and only then is the open file removed. A kill in between leaves
the open file, and doing it all again changes nothing that was done: the same sound gives the same
FLAC file, and the row's ``uid`` is unique.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.store.audio_files import store_audio
from edge_asr.store.chain import append
from edge_asr.store.rows import UTTERANCE_COLUMNS, utterance_from

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.records import EndReason, Utterance
    from edge_asr.store.audio_files import AudioFile
    from edge_asr.store.database import Database
    from edge_asr.store.headers import Header
    from edge_asr.store.recording import Recording


def close_recording(
    database: Database,
    state_dir: Path,
    recording: Recording,
    *,
    n_samples: int,
    reason: EndReason,
) -> Utterance:
    """Close an open utterance after its first ``n_samples``.

    Raises:
        StoreError: the disk refuses; the open file is still there.
    """
    waveform = recording.truncate(n_samples)
    audio = store_audio(state_dir, recording.header, waveform)
    utterance = add_row(database, recording.header, audio, n_samples=len(waveform), reason=reason)
    recording.discard()
    return utterance


def add_row(
    database: Database,
    header: Header,
    audio: AudioFile,
    *,
    n_samples: int,
    reason: EndReason,
) -> Utterance:
    """Commit an utterance, unless it is there already, and return it as it is in the store."""
    start = header.start
    with database.transaction():
        rows = database.rows(
            "INSERT INTO utterances (uid, source, start_utc_ns, start_monotonic_ns, boot_id,"
            " clock_quality, n_samples, end_reason, audio_path, audio_sha256, audio_bytes)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (uid) DO NOTHING"
            " RETURNING id",
            (
                header.uid,
                header.source,
                start.utc_ns,
                start.monotonic_ns,
                start.boot_id,
                start.clock_quality.value,
                n_samples,
                reason.value,
                audio.path,
                audio.sha256,
                audio.n_bytes,
            ),
        )
        if rows:
            append(database, "utterances", rows[0][0])
    utterance = find_by_uid(database, header.uid)
    if utterance is None:
        raise StoreError(f"utterance {header.uid} vanished after it was committed")
    return utterance


def find_by_uid(database: Database, uid: str) -> Utterance | None:
    """Return the utterance of that name."""
    row = database.row(f"SELECT {UTTERANCE_COLUMNS} FROM utterances u WHERE u.uid = ?", (uid,))
    return utterance_from(row) if row else None
