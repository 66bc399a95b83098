"""Retention: the oldest sound goes first, so that a disk that fills up never ends the recording.

Text stays, unless it is given an age. What was not transcribed stays (also what is quarantined:
somebody may still want to hear it), and what is held stays. "Oldest" is the order in which
utterances were stored, never the wall clock. An event of the chain says what went and why.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.store.age import Age
from edge_asr.store.events import EventKind, record
from edge_asr.store.files import file_errors
from edge_asr.store.removal import note_sound, ranges, unlink_noted
from edge_asr.store.text_retention import TextRetention

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.records import Instant
    from edge_asr.store.database import Database

BATCH = 64
"""Utterances that one step removes at most."""
MARGIN = 1.1
"""Room is made for a tenth more than asked, so that not every utterance costs an event."""
SMALL_DISK_PARTS = 10
"""Of a small disk, no more than this part is kept free."""
_REMOVABLE = (
    "u.sound_removed IS NULL"
    " AND EXISTS (SELECT 1 FROM transcripts t WHERE t.utterance_id = u.id)"
    " AND NOT EXISTS (SELECT 1 FROM held h WHERE h.utterance_id = u.id)"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """When sound has to go. Zero: never for this reason."""

    min_free_bytes: int = 0
    """Of the file system with the state directory."""
    max_sound_bytes: int = 0
    max_age_days: int = 0
    max_text_age_days: int = 0
    """Of words; their sound goes with them."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """What a step removed, or would."""

    utterance_ids: tuple[int, ...]
    n_bytes: int
    why: str
    is_text: bool = False
    """Their words went, too."""

    def __bool__(self) -> bool:
        return bool(self.utterance_ids)


NOTHING = Pruned((), 0, "")


class Retention:
    """Keeps one store within its limits, a little at a time."""

    def __init__(self, database: Database, state_dir: Path, limits: Limits) -> None:
        self._database = database
        self._state_dir = state_dir
        self._limits = limits
        self._age = Age(database)
        self._text = TextRetention(database, state_dir, BATCH)
        self._done_below = 0
        """Below this id is nothing to remove; looked at again once all was looked at."""
        self._counted_to = 0
        self._sound_bytes = 0

    def step(self, moment: Instant, *, dry_run: bool = False) -> Pruned:
        """Remove a batch of the oldest sound or text, if a limit asks for it.

        Args:
            moment: now.
            dry_run: only say what would go.

        Raises:
            StoreError: the disk refuses.
        """
        if self._limits.max_age_days or self._limits.max_text_age_days:
            self._age.count(moment)
        return self._sound_step(dry_run=dry_run) or self._text_step(dry_run=dry_run)

    def _text_step(self, *, dry_run: bool) -> Pruned:
        days = self._limits.max_text_age_days
        old = self._text.oldest(self._age.last_older_than(days)) if days else []
        if not old:
            return NOTHING
        why = f"text older than {days} days"
        done = old if dry_run else self._text.remove(old, why)
        return Pruned(tuple(done), 0, why, is_text=True)

    def _sound_step(self, *, dry_run: bool) -> Pruned:
        why, n_bytes, last_id = self._asked()
        if not why:
            return NOTHING
        batch = self._oldest(n_bytes, last_id)
        if not batch:
            self._done_below = 0
            return NOTHING
        pruned = Pruned(tuple(i for i, _ in batch), sum(size for _, size in batch), why)
        if not dry_run:
            self._remove(pruned)
        return pruned

    def _asked(self) -> tuple[str, int | None, int | None]:
        """Return why sound has to go, how many bytes of it, and up to which utterance."""
        limits = self._limits
        with file_errors(self._state_dir):
            disk = shutil.disk_usage(self._state_dir)
        min_free = min(limits.min_free_bytes, disk.total // SMALL_DISK_PARTS)
        if disk.free < min_free:
            wanted = int(min_free * MARGIN) - disk.free
            return f"less than {min_free >> 10} kB were free", wanted, None
        if limits.max_sound_bytes and self._size() > limits.max_sound_bytes:
            wanted = self._sound_bytes - int(limits.max_sound_bytes / MARGIN)
            return f"more than {limits.max_sound_bytes >> 10} kB of sound", wanted, None
        if limits.max_age_days and (last_id := self._older_than(limits.max_age_days)):
            return f"older than {limits.max_age_days} days", None, last_id
        return "", None, None

    def _oldest(self, n_bytes: int | None, last_id: int | None) -> list[tuple[int, int]]:
        """Return the ids and sizes of the oldest sound that may go: a batch at most."""
        rows = self._database.rows(
            f"SELECT u.id, u.audio_bytes FROM utterances u WHERE u.id >= ? AND {_REMOVABLE}"
            f" AND u.id <= coalesce(?, u.id) ORDER BY u.id LIMIT {BATCH}",
            (self._done_below, last_id),
        )
        batch: list[tuple[int, int]] = []
        for utterance_id, size in rows:
            if n_bytes is not None and sum(size for _, size in batch) >= n_bytes:
                break
            batch.append((utterance_id, size))
        return batch

    def _remove(self, pruned: Pruned) -> None:
        with self._database.transaction():
            ids = ranges(pruned.utterance_ids)
            detail = {"entries": "", "sound": ids, "why": pruned.why}
            event_id = record(self._database, EventKind.REMOVED, detail)
            note_sound(self._database, pruned.utterance_ids, event_id)
        unlink_noted(self._database, self._state_dir)
        self._sound_bytes -= pruned.n_bytes
        self._done_below = pruned.utterance_ids[-1] + 1

    def _size(self) -> int:
        """Return how much sound there is; only what is new is counted."""
        last, n_bytes = self._database.rows(
            "SELECT coalesce(max(id), ?), coalesce(sum(audio_bytes)"
            " FILTER (WHERE sound_removed IS NULL), 0) FROM utterances WHERE id > ?",
            (self._counted_to, self._counted_to),
        )[0]
        self._counted_to, self._sound_bytes = last, self._sound_bytes + n_bytes
        return self._sound_bytes

    def _older_than(self, days: int) -> int | None:
        """Return the last utterance that is certainly older than so many days, if any may go."""
        last_id = self._age.last_older_than(days)
        found = self._database.row(
            f"SELECT 1 FROM utterances u WHERE u.id >= ? AND u.id <= ? AND {_REMOVABLE} LIMIT 1",
            (self._done_below, last_id),
        )
        return last_id if found else None
