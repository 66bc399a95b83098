"""Second passes: what still lacks one, the versions they add, and what failed in them.

A pass is a bundle and what is asked of it. It reads the transcription that stands for an utterance:
the last shown version that was made from the sound. Nothing remembers what was done but the
versions themselves, so a restart, another pass or a new transcription need no bookkeeping.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.records import SAMPLE_RATE
from edge_asr.store.failures import KILLED, MAX_ERROR_CHARACTERS, MAX_TRIES
from edge_asr.store.log import EVERYTHING, Filter
from edge_asr.store.rows import (
    N_UTTERANCE_COLUMNS,
    TRANSCRIPT_COLUMNS,
    UTTERANCE_COLUMNS,
    transcript_from,
    utterance_from,
)

if TYPE_CHECKING:
    from edge_asr.records import Transcript, Utterance
    from edge_asr.store.attempts import LeftMark
    from edge_asr.store.database import Database

MAX_PASS_KILLS = 5
"""A second pass is given up sooner than a first one: the text is there already."""

_LACKING = (
    "FROM transcripts t JOIN utterances u ON u.id = t.utterance_id"
    " LEFT JOIN pass_failures f ON f.utterance_id = t.utterance_id"
    " AND f.bundle_sha256 = ? AND f.request_sha256 = ?"
    " WHERE t.parent_version IS NULL AND t.is_shown AND u.text_removed IS NULL"
    " AND NOT EXISTS (SELECT 1 FROM transcripts n WHERE n.utterance_id = t.utterance_id"
    " AND n.version > t.version AND n.parent_version IS NULL AND n.is_shown)"
    " AND NOT EXISTS (SELECT 1 FROM transcripts d WHERE d.utterance_id = t.utterance_id"
    " AND d.bundle_sha256 = ? AND d.request_sha256 = ? AND d.parent_version IS {parent})"
)
_QUARANTINED = f"(coalesce(f.tries, 0) >= {MAX_TRIES} OR coalesce(f.kills, 0) >= {MAX_PASS_KILLS})"


@dataclass(frozen=True, slots=True)
class Pass:
    """A bundle, and what is asked of it."""

    bundle: str
    bundle_sha256: str
    request_sha256: str
    reads_text: bool
    """Whether it reads a transcription's text; otherwise it hears the sound again."""

    @property
    def key(self) -> str:
        """One word that tells it from other passes."""
        return f"{self.bundle_sha256}:{self.request_sha256}"


@dataclass(frozen=True, slots=True)
class Lacking:
    """An utterance that lacks a pass, and the transcription that stands for it."""

    position: int
    utterance: Utterance
    transcript: Transcript


@dataclass(frozen=True, slots=True)
class PassBacklog:
    """How much lacks a pass."""

    n: int
    duration_s: float
    n_quarantined: int
    """Not counted above: utterances that failed too often in this pass."""


class PassQueue:
    """What lacks one pass: new transcriptions as they come, before them the older, newest first.

    Newest first, because what was just said is what is read next, and a large model on a small
    board may never come to the end.
    """

    def __init__(self, database: Database, wanted_pass: Pass, wanted: Filter = EVERYTHING) -> None:
        self._database = database
        self._pass = wanted_pass
        parent = "t.version" if wanted_pass.reads_text else "NULL"
        conditions, self._values = wanted.conditions()
        conditions.append("t.text <> ''" if wanted_pass.reads_text else "u.sound_removed IS NULL")
        self._lacking = " AND ".join([_LACKING.format(parent=parent), *conditions])
        self.start_over()

    def start_over(self) -> None:
        """Look at everything again, also at what failed."""
        self._newest = self._oldest = self._end() + 1

    def take(self) -> Lacking | None:
        """Return the next one, or None; each is returned once until :meth:`start_over`."""
        found = self._find("t.id >= ?", self._newest, "t.id")
        if found is not None:
            self._newest = found.position + 1
            return found
        found = self._find("t.id < ?", self._oldest, "t.id DESC")
        self._oldest = found.position if found is not None else 0
        return found

    def backlog(self) -> PassBacklog:
        """Return how much lacks the pass, whether it was taken or not."""
        n, n_samples, n_quarantined = self._database.rows(
            f"SELECT count(*) FILTER (WHERE NOT {_QUARANTINED}),"
            f" total(u.n_samples) FILTER (WHERE NOT {_QUARANTINED}),"
            f" count(*) FILTER (WHERE {_QUARANTINED}) {self._lacking}",
            self._parameters(),
        )[0]
        return PassBacklog(n, n_samples / SAMPLE_RATE, n_quarantined)

    def _find(self, condition: str, position: int, order: str) -> Lacking | None:
        row = self._database.row(
            f"SELECT t.id, {UTTERANCE_COLUMNS}, {TRANSCRIPT_COLUMNS} {self._lacking}"
            f" AND NOT {_QUARANTINED} AND {condition} ORDER BY {order} LIMIT 1",
            (*self._parameters(), position),
        )
        if row is None:
            return None
        rest = row[1:]
        return Lacking(
            row[0],
            utterance_from(rest[:N_UTTERANCE_COLUMNS]),
            transcript_from(rest[N_UTTERANCE_COLUMNS:]),
        )

    def _parameters(self) -> tuple[object, ...]:
        identity = (self._pass.bundle_sha256, self._pass.request_sha256)
        return (*identity, *identity, *self._values)

    def _end(self) -> int:
        return int(self._database.rows("SELECT coalesce(max(id), 0) FROM transcripts")[0][0])


class Passes:
    """Second passes over one store."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.was_left = False
        """Whether the recognizer before this one died in a second pass."""

    def queue(self, wanted_pass: Pass, wanted: Filter = EVERYTHING) -> PassQueue:
        """Return what lacks a pass, among the utterances that are wanted."""
        return PassQueue(self._database, wanted_pass, wanted)

    def record_failure(self, utterance_id: int, failed_pass: Pass, error: str) -> None:
        """Count a failed try; after three the utterance is quarantined for this pass alone.

        Raises:
            StoreError: the disk refuses.
        """
        identity = (utterance_id, failed_pass.bundle_sha256, failed_pass.request_sha256)
        self._count(identity, error, tries=1, kills=0)

    def record_left(self, left: LeftMark) -> None:
        """Count the try of a pass that a dead process left.

        Raises:
            StoreError: the disk refuses.
        """
        self.was_left = True
        bundle_sha256, _, request_sha256 = left.pass_key.partition(":")
        identity = (left.utterance_id, bundle_sha256, request_sha256)
        if left.crash is None:
            self._count(identity, KILLED, tries=0, kills=1)
        else:
            self._count(identity, left.crash, tries=1, kills=0)

    def _count(self, identity: tuple[int, str, str], error: str, *, tries: int, kills: int) -> None:
        with self._database.transaction():
            # A mark may outlive its utterance, which retention removes.
            self._database.rows(
                "INSERT INTO pass_failures (utterance_id, bundle_sha256, request_sha256, tries,"
                " kills, error, last_utc_ns) SELECT u.id, ?, ?, ?, ?, ?, ? FROM utterances u"
                " WHERE u.id = ? ON CONFLICT DO UPDATE SET"
                " tries = tries + excluded.tries, kills = kills + excluded.kills,"
                " error = excluded.error, last_utc_ns = excluded.last_utc_ns",
                (
                    *identity[1:],
                    tries,
                    kills,
                    error[:MAX_ERROR_CHARACTERS],
                    time.time_ns(),
                    identity[0],
                ),
            )
