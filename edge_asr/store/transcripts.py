"""Transcripts: what is to be transcribed, and the versions of text that came of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.records import SAMPLE_RATE, Transcript
from edge_asr.store.attempts import AttemptMark
from edge_asr.store.failures import MAX_KILLS, MAX_TRIES, Failures
from edge_asr.store.fairness import Turns
from edge_asr.store.rows import (
    TRANSCRIPT_COLUMNS,
    UTTERANCE_COLUMNS,
    transcript_from,
    utterance_from,
)
from edge_asr.store.versions import insert, is_redacted, last_version, standing

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from edge_asr.records import Recognition, Utterance
    from edge_asr.store.attempts import LeftMark
    from edge_asr.store.database import Database
    from edge_asr.store.passes import Pass

_UNTRANSCRIBED = (
    "utterances u LEFT JOIN failures f ON f.utterance_id = u.id WHERE u.id >= ?"
    " AND u.sound_removed IS NULL AND u.text_removed IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM transcripts t WHERE t.utterance_id = u.id)"
)
_QUARANTINED = f"(coalesce(f.tries, 0) >= {MAX_TRIES} OR coalesce(f.kills, 0) >= {MAX_KILLS})"

_WANTED = f"NOT {_QUARANTINED} AND u.id NOT IN (SELECT value FROM json_each(?))"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What is not transcribed yet."""

    n: int
    duration_s: float
    n_quarantined: int
    """Not counted above: utterances that failed too often and are not tried again."""


class Transcripts:
    """Versions of text. They are added, never overwritten."""

    def __init__(self, database: Database, state_dir: Path) -> None:
        self._database = database
        self._mark = AttemptMark(state_dir)
        self.failures = Failures(database)
        self._all_done_below = 0
        """Every utterance below this id has a transcript. Ids grow, so this only ever rises."""
        self._turns = Turns()

    def pending(self, skip: Collection[int] = ()) -> Utterance | None:
        """Return the oldest utterance without a transcript, or None.

        Where several sources wait, it is the oldest of the one whose turn it is
        (:mod:`edge_asr.store.fairness`). Those whose recognizer was killed before come last,
        quarantined ones never.

        Args:
            skip: ids to leave out, such as those that failed a moment ago.
        """
        self._advance()
        parameters = (self._all_done_below, json.dumps(list(skip)))
        select = f"SELECT {UTTERANCE_COLUMNS}{{}} FROM {_UNTRANSCRIBED} AND {_WANTED}"
        oldest = self._database.rows(  # with min(), SQLite takes all columns from that row
            f"{select.format(', min(u.id)')} AND coalesce(f.kills, 0) = 0 GROUP BY u.source",
            parameters,
        )
        if oldest:
            return self._turns.next([utterance_from(row[:-1]) for row in oldest])
        row = self._database.row(
            f"{select.format('')} ORDER BY f.kills, u.id LIMIT 1",
            parameters,
        )
        return utterance_from(row) if row else None

    def backlog(self) -> Backlog:
        """Return how much is pending."""
        self._advance()
        n, n_samples, n_quarantined = self._database.rows(
            f"SELECT count(*) FILTER (WHERE NOT {_QUARANTINED}),"
            f" total(u.n_samples) FILTER (WHERE NOT {_QUARANTINED}),"
            f" count(*) FILTER (WHERE {_QUARANTINED}) FROM {_UNTRANSCRIBED}",
            (self._all_done_below,),
        )[0]
        return Backlog(n, n_samples / SAMPLE_RATE, n_quarantined)

    def add(
        self,
        utterance_id: int,
        recognition: Recognition,
        *,
        bundle: str,
        bundle_sha256: str,
        created_utc_ns: int,
        request_sha256: str | None = None,
        is_shown: bool = True,
    ) -> Transcript:
        """Add a version that was made from the sound. It is safe when this returns.

        Raises:
            StoreError: the disk refuses, or there is no such utterance.
        """
        with self._database.transaction():
            if is_redacted(self._database, utterance_id):
                raise StoreError(f"utterance {utterance_id} was redacted; it gets no new text")
            version = last_version(self._database, utterance_id) + 1
            transcript = Transcript(
                utterance_id,
                version,
                recognition,
                bundle,
                bundle_sha256,
                created_utc_ns,
                request_sha256=request_sha256,
                is_shown=is_shown,
            )
            insert(self._database, transcript)
        return transcript

    def add_of_pass(
        self,
        utterance_id: int,
        recognition: Recognition,
        made_by: Pass,
        *,
        parent_version: int | None,
        is_shown: bool,
        created_utc_ns: int,
    ) -> Transcript | None:
        """Add the version of a second pass; None, and nothing is added, if it is there already.

        Nor is anything added to an utterance that was redacted meanwhile.

        Raises:
            StoreError: the disk refuses, or there is no such utterance.
        """
        with self._database.transaction():
            there = self._database.row(
                "SELECT 1 FROM transcripts WHERE utterance_id = ? AND bundle_sha256 = ?"
                " AND request_sha256 = ? AND parent_version IS ?",
                (utterance_id, made_by.bundle_sha256, made_by.request_sha256, parent_version),
            )
            if there is not None or is_redacted(self._database, utterance_id):
                return None
            transcript = Transcript(
                utterance_id,
                last_version(self._database, utterance_id) + 1,
                recognition,
                made_by.bundle,
                made_by.bundle_sha256,
                created_utc_ns,
                parent_version=parent_version,
                request_sha256=made_by.request_sha256,
                is_shown=is_shown,
            )
            insert(self._database, transcript)
        return transcript

    def add_first(
        self,
        utterance_id: int,
        recognition: Recognition,
        *,
        bundle: str,
        bundle_sha256: str,
        created_utc_ns: int,
        request_sha256: str | None = None,
    ) -> Transcript | None:
        """Add version 1; None, and nothing is added, if it is there already.

        So neither two recognizers nor one that was killed make a duplicate.

        Raises:
            StoreError: the disk refuses, or there is no such utterance.
        """
        transcript = Transcript(
            utterance_id,
            1,
            recognition,
            bundle,
            bundle_sha256,
            created_utc_ns,
            request_sha256=request_sha256,
        )
        with self._database.transaction():
            if last_version(self._database, utterance_id) or is_redacted(
                self._database, utterance_id
            ):
                return None
            insert(self._database, transcript)
        return transcript

    def versions(self, utterance_id: int) -> list[Transcript]:
        """Return all versions of one utterance, the first one first."""
        rows = self._database.rows(
            f"SELECT {TRANSCRIPT_COLUMNS} FROM transcripts t WHERE t.utterance_id = ?"
            " ORDER BY t.version",
            (utterance_id,),
        )
        return [transcript_from(row) for row in rows]

    def latest(self, utterance_id: int) -> Transcript | None:
        """Return the version that stands for one utterance, or None."""
        return standing(self.versions(utterance_id))

    def record_failure(self, utterance_id: int, error: str) -> None:
        """Count a failed try; after three the utterance is quarantined.

        Raises:
            StoreError: the disk refuses.
        """
        self.failures.record(utterance_id, error, time.time_ns())

    def begin_attempt(self, utterance_id: int, pass_key: str = "") -> None:
        """Mark this utterance as being transcribed, in case that the process dies of it."""
        self._mark.set(utterance_id, pass_key)

    def end_attempt(self) -> None:
        """Mark the attempt as survived."""
        self._mark.clear()

    def settle_attempts(self) -> LeftMark | None:
        """Count the attempt that a dead recognizer left. Only the one recognizer may call this.

        Returns:
            The attempt, if it was in a second pass, which is for :class:`Passes` to count.
        """
        left = self._mark.take_left()
        if left is None:
            return None
        self._mark.clear()
        if left.pass_key:
            return left
        self.failures.record_left(left, time.time_ns())
        return None

    def close(self) -> None:
        """Remove the mark."""
        self._mark.close()

    def _advance(self) -> None:
        """Raise ``_all_done_below`` as far as it goes, so that a long log is not read each time."""
        last = self._database.rows("SELECT coalesce(max(id), 0) FROM utterances")[0][0]
        first = self._database.row(
            f"SELECT u.id FROM {_UNTRANSCRIBED} ORDER BY u.id LIMIT 1",
            (self._all_done_below,),
        )
        self._all_done_below = min(first[0], last + 1) if first else last + 1
