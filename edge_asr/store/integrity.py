"""What can be asked of the log's integrity: its head, a verification, an export, a redaction."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.store import holds
from edge_asr.store.chain import entries, head
from edge_asr.store.events import EventKind, events, last_event
from edge_asr.store.redaction import redact
from edge_asr.store.signing import sign
from edge_asr.store.verification import NOTHING_KEPT, Kept, Verified, verify_chain, verify_sound
from edge_asr.store.vouching import Vouching, unsigned
from edge_asr.verify_log import FIRST_HEAD, FORMAT, SNAPSHOT_FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edge_asr.records import Utterance
    from edge_asr.store.chain import Head
    from edge_asr.store.database import Database

SNAPSHOT_HEADS = 64
"""A snapshot has about so many heads: the more, the closer it shows where something was changed."""


class Integrity:
    """The chain of one store."""

    def __init__(self, database: Database, state_dir: Path) -> None:
        self._database = database
        self._state_dir = state_dir

    def head(self) -> Head:
        """Return where the chain ends now. Kept elsewhere, it proves all that came before."""
        return head(self._database)

    def verify(
        self, report: Callable[[str], None], kept: Kept = NOTHING_KEPT, *, sound: bool = True
    ) -> Verified:
        """Report everything that is wrong, one sentence for each finding.

        Raises:
            StoreError: the log cannot be read, or ``kept.head`` is no head.
        """
        verified = verify_chain(self._database, kept, report)
        if sound:
            for finding in verify_sound(self._database, self._state_dir):
                report(finding)
        return verified

    def export(self) -> Iterator[str]:
        """Yield the whole log as ``verify_log.py`` takes it, signed if there is a key.

        Raises:
            StoreError: the log or the key cannot be read.
        """
        end = self.head()
        first = self._database.row("SELECT min(seq) FROM chain")
        seq = first[0] if first and first[0] else 1
        previous = FIRST_HEAD
        for event in events(self._database, EventKind.FORGOTTEN):
            if event.detail.get("last") == seq - 1:
                previous = str(event.detail["head"])
        yield json.dumps({"begin": {"format": FORMAT, "seq": seq, "previous": previous}})
        for entry in entries(self._database, end.seq):
            yield json.dumps(entry)
        yield json.dumps(
            {"end": {"seq": end.seq, "head": end.sha256, **sign(self._state_dir, end)}}
        )

    def snapshot(self) -> str:
        """Return some heads of the chain and its last one, as JSON; signed if there is a key.

        Kept elsewhere, it shows where the log was changed, removed or written anew.

        Raises:
            StoreError: the log or the key cannot be read, or it is empty.
        """
        with self._database.snapshot():
            end = self.head()
            begun = events(self._database, EventKind.BEGUN)
            step = -(-end.seq // SNAPSHOT_HEADS) or 1
            rows = self._database.rows(
                "SELECT seq, head FROM chain WHERE seq < ? AND seq % ? = 0 ORDER BY seq",
                (end.seq, step),
            )
        heads = [[seq, head.hex()] for seq, head in rows]
        return json.dumps(
            {
                "format": SNAPSHOT_FORMAT,
                "log": begun[0].detail["log"],
                "taken_utc_ns": time.time_ns(),
                "seq": end.seq,
                "head": end.sha256,
                **sign(self._state_dir, end),
                "heads": [*heads, [end.seq, end.sha256]],
            }
        )

    def vouching(self, *, after_entries: int, after_s: float) -> Vouching:
        """Return what signs the head from time to time."""
        return Vouching(
            self._database, self._state_dir, after_entries=after_entries, after_s=after_s
        )

    def unsigned(self) -> tuple[int, int | None]:
        """Return how many entries no signature covers, and when the last one was made, if ever."""
        last = last_event(self._database, EventKind.SIGNED)
        signed_utc_ns = None if last is None else int(last.detail["signed_utc_ns"])
        return unsigned(self._database), signed_utc_ns

    def redact(self, utterance: Utterance, reason: str) -> None:
        """Remove the words and the sound of an utterance for good.

        Raises:
            StoreError: it is held, was redacted before, or the disk refuses.
        """
        redact(self._database, self._state_dir, utterance, reason)

    def redacted_because(self, utterance_id: int) -> str | None:
        """Return why the words of an utterance are gone, or None if they are not."""
        row = self._database.row(
            "SELECT e.detail FROM utterances u JOIN events e ON e.id = u.text_removed"
            " WHERE u.id = ?",
            (utterance_id,),
        )
        if row is None:
            return None
        detail = json.loads(row[0])
        return str(detail.get("reason") or detail.get("why", ""))

    def hold(self, utterance_ids: Sequence[int], reason: str) -> list[int]:
        """Put utterances under hold; return those that were not before.

        Raises:
            StoreError: the disk refuses, or there is no such utterance.
        """
        return holds.hold(self._database, utterance_ids, reason)

    def release(self, utterance_ids: Sequence[int], reason: str) -> list[int]:
        """Let go of held utterances; return those that were held.

        Raises:
            StoreError: the disk refuses.
        """
        return holds.release(self._database, utterance_ids, reason)

    def spoken_between(self, since_utc_ns: int, until_utc_ns: int, source: str | None) -> list[int]:
        """Return the ids of the utterances that began in a stretch of time.

        Raises:
            StoreError: there are none.
        """
        found = holds.spoken_between(self._database, since_utc_ns, until_utc_ns, source)
        if not found:
            raise StoreError("nothing was said then; edge-asr log tail lists what was")
        return found
