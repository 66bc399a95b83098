"""Verifying the log where it lies: the chain, every row, every sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.store.audio_files import describe_audio, is_audio_path
from edge_asr.store.chain import CHAINED, Head, columns, entries, head
from edge_asr.store.events import EventKind, events
from edge_asr.verify_log import Checker, check_signature, check_signatures, ranges_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_asr.store.database import Database
    from edge_asr.verify_log import Snapshot

_PAGE = 500


@dataclass(frozen=True, slots=True)
class Verified:
    """How much was looked at."""

    head: Head
    n_entries: int
    n_excused: int
    """Entries whose content was redacted, or removed by retention."""
    vouched: tuple[str, ...] = ()
    """What the signatures within it show, in sentences."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept elsewhere, to hold the log against."""

    head: str = ""
    """``SEQ:HASH`` or ``HASH``."""
    snapshot: Snapshot | None = None
    public_key: str = ""
    """Hexadecimal: at least one signature within must be of this key."""


NOTHING_KEPT = Kept()


def verify_chain(database: Database, kept: Kept, report: Callable[[str], None]) -> Verified:
    """Report what is wrong with the chain and the rows, one sentence for each finding.

    Args:
        database: the log, as it is at this moment; others may go on to write.
        kept: what was kept elsewhere.
        report: is told of each finding.

    Raises:
        StoreError: the database cannot be read, or ``kept.head`` is no head.
    """
    checker = _checker(kept)
    with database.snapshot():
        end = head(database)
        first = database.row("SELECT min(seq) FROM chain")
        if first and first[0] and first[0] > 1:
            for event in events(database, EventKind.FORGOTTEN):
                if event.detail.get("last") == first[0] - 1:
                    checker.begin(first[0], str(event.detail["head"]))
        for entry in entries(database, end.seq):
            for finding in checker.check(entry):
                report(finding)
        for finding in (*checker.end(), *_rows_without_entry(database)):
            report(finding)
    vouched = []
    for sentence in _signatures(checker, kept):
        if sentence.startswith("ok "):
            vouched.append(sentence.removeprefix("ok "))
        else:
            report(sentence)
    return Verified(end, checker.n_entries, checker.n_excused, tuple(vouched))


def _checker(kept: Kept) -> Checker:
    try:
        if kept.snapshot is None:
            return Checker(kept.head)
        return Checker(f"{kept.head} {kept.snapshot.heads}", kept.snapshot.log)
    except ValueError as error:
        raise StoreError(f"'{kept.head}' is no head; edge-asr log head prints one") from error


def _signatures(checker: Checker, kept: Kept) -> Iterator[str]:
    """Yield what is wrong with signatures; a line about what is right starts with ``ok``."""
    if kept.snapshot is not None and (kept.snapshot.signed or kept.public_key):
        yield from check_signature(kept.snapshot.signed, kept.public_key, "the snapshot")
    yield from check_signatures(checker.signed)
    if kept.public_key and not any(s["public_key"] == kept.public_key for s in checker.signed):
        yield "no entry is signed with this key; edge-asr log key prints the one of this machine"


def _rows_without_entry(database: Database) -> Iterator[str]:
    for table, chained in CHAINED.items():
        if not columns(database, table):
            continue
        rows = database.rows(
            f"SELECT id FROM {table} WHERE {chained.final} EXCEPT"
            " SELECT fact_id FROM chain WHERE fact = ? ORDER BY id",
            (table,),
        )
        for (row_id,) in rows:
            yield f"{table} {row_id}: was inserted, no entry of the chain is about it"


def verify_sound(database: Database, state_dir: Path) -> Iterator[str]:
    """Yield what is wrong with the sound files, one sentence for each finding.

    Raises:
        StoreError: the database cannot be read.
    """
    excused = [
        pair
        for event in events(database, EventKind.REDACTED, EventKind.REMOVED)
        for pair in ranges_of(str(event.detail.get("sound", "")))
    ]
    after = 0
    sql = (
        "SELECT id, audio_path, audio_sha256, sound_removed FROM utterances WHERE id > ?"
        f" ORDER BY id LIMIT {_PAGE}"
    )
    while page := database.rows(sql, (after,)):
        for utterance_id, path, sha256, removed in page:
            finding = (
                _sound_finding(state_dir / path, state_dir, sha256)
                if is_audio_path(path)
                else f"its sound is said to be {path!r}, which is no place for it"
            )
            if removed is None and finding and not _removed_since(database, utterance_id):
                yield f"utterance {utterance_id}: {finding}"
            elif removed is not None and not any(a <= utterance_id <= b for a, b in excused):
                yield f"utterance {utterance_id}: its sound is gone, and no entry says why"
        after = page[-1][0]


def _sound_finding(path: Path, state_dir: Path, sha256: str) -> str:
    try:
        if describe_audio(state_dir, path).sha256 == sha256:
            return ""
    except FileNotFoundError:
        return f"its sound {path} is missing"
    except OSError as error:
        return f"its sound {path} cannot be read ({error.strerror})"
    return f"its sound {path} was damaged or changed"


def _removed_since(database: Database, utterance_id: int) -> bool:
    """Look again: somebody may have redacted it while the files were read."""
    row = database.row("SELECT sound_removed FROM utterances WHERE id = ?", (utterance_id,))
    return row is None or row[0] is not None
