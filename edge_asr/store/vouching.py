"""Signatures that the log itself holds: from time to time the head of the chain is signed.

Each is an event of the chain, right after the entry whose head it signs. So whoever has the public
key, and not the secret one, sees up to where the log is as it was when the key was in good hands.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from edge_asr.store.chain import Head, head
from edge_asr.store.events import EventKind, last_event, record
from edge_asr.store.signing import has_key, sign

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.store.database import Database


class Vouching:
    """Signs the head of one log's chain, if there is a key.

    Args:
        database: the log.
        state_dir: where the key is.
        after_entries: so many new entries are signed at the next look, 0: never for this reason.
        after_s: new entries are signed so long after the last signature, 0: never for this reason.
    """

    def __init__(
        self, database: Database, state_dir: Path, *, after_entries: int, after_s: float
    ) -> None:
        self._database = database
        self._state_dir = state_dir
        self._after_entries = after_entries
        self._after_s = after_s
        self._signed_at_s: float | None = None
        """By the monotonic clock; None: not since this process began."""

    def step(self, *, at_once: bool = False) -> Head | None:
        """Sign what is new, if it is time.

        Args:
            at_once: anything new is signed.

        Returns:
            What was signed, or None.

        Raises:
            StoreError: the key cannot be used, or the disk refuses.
        """
        if not has_key(self._state_dir):
            return None
        n_new = unsigned(self._database)
        if not n_new or not (at_once or self._is_due(n_new)):
            return None
        with self._database.transaction():
            end = head(self._database)
            detail = {"seq": end.seq, "head": end.sha256, **sign(self._state_dir, end)}
            record(self._database, EventKind.SIGNED, detail)
        self._signed_at_s = time.monotonic()
        return end

    def _is_due(self, n_new: int) -> bool:
        if self._after_entries and n_new >= self._after_entries:
            return True
        if not self._after_s:
            return False
        if self._signed_at_s is None:
            return True
        return time.monotonic() - self._signed_at_s >= self._after_s


def unsigned(database: Database) -> int:
    """Return how many entries no signature covers; the last signature itself is none of them."""
    last = last_event(database, EventKind.SIGNED)
    end = head(database).seq
    return end if last is None else end - int(last.detail["seq"]) - 1
