"""Utterances: begun as an open file, closed as a FLAC file and a row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.store.audio_files import load_audio
from edge_asr.store.closing import close_recording, find_by_uid
from edge_asr.store.recording import Recording
from edge_asr.store.recovery import OPEN, recover
from edge_asr.store.rows import UTTERANCE_COLUMNS, utterance_from

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.records import EndReason, Instant, Utterance, Waveform
    from edge_asr.store.database import Database
    from edge_asr.store.recovery import Recovery

_ID_BITS = 63


class Utterances:
    """What was said, as sound."""

    def __init__(self, database: Database, state_dir: Path) -> None:
        self._database = database
        self._state_dir = state_dir

    def begin(self, source: str, start: Instant) -> Recording:
        """Begin an utterance: what is appended to it is on disk while it is being spoken.

        Raises:
            StoreError: the disk refuses.
        """
        return Recording.begin(self._state_dir / OPEN, source, start)

    def close(self, recording: Recording, *, n_samples: int, reason: EndReason) -> Utterance:
        """Close an utterance after its first ``n_samples``. It is safe when this returns.

        Raises:
            StoreError: the disk refuses; closing may be tried again.
        """
        return close_recording(
            self._database, self._state_dir, recording, n_samples=n_samples, reason=reason
        )

    def recover(self) -> Recovery:
        """Finish what killed processes left behind, whatever its source.

        Raises:
            StoreError: the store's folders cannot be read.
        """
        return recover(self._database, self._state_dir)

    def being_spoken(self) -> list[Path]:
        """Return the open utterances; ``read_recording`` reads one while it grows."""
        return sorted((self._state_dir / OPEN).glob("*.part"))

    def find(self, name: int | str) -> Utterance | None:
        """Return the utterance with that id or uid, or None."""
        if isinstance(name, str):
            return find_by_uid(self._database, name)
        if name.bit_length() > _ID_BITS:
            return None
        row = self._database.row(
            f"SELECT {UTTERANCE_COLUMNS} FROM utterances u WHERE u.id = ?", (name,)
        )
        return utterance_from(row) if row else None

    def waveform(self, utterance: Utterance) -> Waveform:
        """Return an utterance's sound, after its checksum.

        Raises:
            StoreError: the file is missing or was changed.
        """
        return load_audio(self._state_dir, utterance.audio_path, utterance.audio_sha256)
