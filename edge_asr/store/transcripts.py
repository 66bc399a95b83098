"""Transcripts: what is to be transcribed, and the versions of text that came of it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.records import Transcript
from edge_asr.store.attempts import AttemptMark
from edge_asr.store.failures import Failures
from edge_asr.store.rows import TRANSCRIPT_COLUMNS, transcript_from
from edge_asr.store.versions import insert, is_redacted, last_version, standing
from edge_asr.store.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from edge_asr.records import Recognition, Utterance
    from edge_asr.store.attempts import LeftMark
    from edge_asr.store.database import Database
    from edge_asr.store.passes import Pass
    from edge_asr.store.waiting import Backlog


class Transcripts:
    """Versions of text. They are added, never overwritten."""

    def __init__(self, database: Database, state_dir: Path) -> None:
        self._database = database
        self._mark = AttemptMark(state_dir)
        self.failures = Failures(database)
        self._waiting = Waiting(database)

    def pending(self, skip: Collection[int] = ()) -> Utterance | None:
        """Return the oldest utterance without a transcript, or None.

        Where several sources wait, it is the oldest of the one whose turn it is
        (:mod:`edge_asr.store.fairness`). Those whose recognizer was killed before come last,
        quarantined ones never.

        Args:
            skip: ids to leave out, such as those that failed a moment ago.
        """
        return self._waiting.next(skip)

    def backlog(self) -> Backlog:
        """Return how much is pending."""
        return self._waiting.backlog()

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
