"""The chain: every fact of the log is an entry, and every entry's hash covers the one before it.

A fact is a row of one of the tables in :data:`CHAINED`. Whoever adds one calls :func:`append` in
the same transaction, which costs a row and no further synchronisation. :mod:`edge_asr.verify_log`
has the rules of the hashes; docs/integrity.md says what they prove.

A row's content is its columns by name, without those that hold their default: so a column that is
added later (``ADD COLUMN``, with a constant default or none) leaves older entries valid. A
column's meaning, name or default never changes once it was released.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge_asr.errors import StoreError
from edge_asr.verify_log import FIRST_HEAD, digest_of, head_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edge_asr.store.database import Database

_SALT_BYTES = 16
_PAGE = 500


@dataclass(frozen=True, slots=True)
class Chained:
    """How the rows of a table are facts. It has an integer primary key ``id``."""

    without: tuple[str, ...] = ()
    """Columns that may change later, and so are no part of the fact."""
    final: str = "1"
    """Of which rows: an SQL condition. Others are still being written, and appended later."""


CHAINED: dict[str, Chained] = {
    "utterances": Chained(without=("sound_removed", "text_removed")),
    "transcripts": Chained(),
    "gaps": Chained(),
    "events": Chained(),
    "watches": Chained(),
    "watch_ends": Chained(),
    "clock_anchors": Chained(),
    "alarms": Chained(),
    "alarm_ends": Chained(),
}
"""Name of a table -> how it is chained. A new one needs a line here, an :func:`append` where its
rows are added, and, if it has rows already, :func:`append_existing` in its migration."""


@dataclass(frozen=True, slots=True)
class Head:
    """Where the chain ends: it stands for every entry up to this one."""

    seq: int
    """Number of the last entry; 0 before the first."""
    sha256: str
    recorded_utc_ns: int

    def __str__(self) -> str:
        return f"{self.seq}:{self.sha256}"


def append(database: Database, table: str, row_id: int, *, at_least: int = 1) -> int:
    """Append a row that was just added, in the transaction that added it; return its number.

    Args:
        database: the log.
        table: of the row.
        row_id: its id.
        at_least: the number it gets at least; what is left out are entries that were lost.

    Raises:
        StoreError: there is no such row, or no transaction.
    """
    if not database.in_transaction:
        raise StoreError(f"{table} {row_id} must be chained in the transaction that adds it")
    row_content = content(database, table, row_id)
    if row_content is None:
        raise StoreError(f"there is no row {row_id} in {table} to chain")
    last = head(database)
    salt = os.urandom(_SALT_BYTES)
    seq = max(last.seq + 1, at_least)
    entry = {
        "seq": seq,
        "recorded_utc_ns": time.time_ns(),
        "table": table,
        "id": row_id,
        "digest": digest_of(row_content, salt.hex()),
    }
    linked = head_of(entry, last.sha256)
    database.rows(
        "INSERT INTO chain (seq, recorded_utc_ns, fact, fact_id, salt, digest, head)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            seq,
            entry["recorded_utc_ns"],
            table,
            row_id,
            salt,
            bytes.fromhex(str(entry["digest"])),
            bytes.fromhex(linked),
        ),
    )
    return seq


def append_existing(database: Database, tables: Sequence[str] = tuple(CHAINED)) -> None:
    """Append all rows of tables that were not chained until now: for a migration."""
    for table in tables:
        if not columns(database, table):
            continue  # a later migration makes it
        final = CHAINED[table].final
        for (row_id,) in database.rows(f"SELECT id FROM {table} WHERE {final} ORDER BY id"):
            append(database, table, row_id)


def head(database: Database) -> Head:
    """Return where the chain ends."""
    row = database.row("SELECT seq, head, recorded_utc_ns FROM chain ORDER BY seq DESC LIMIT 1")
    return Head(row[0], row[1].hex(), row[2]) if row else Head(0, FIRST_HEAD, 0)


def entries_of(database: Database, table: str, row_ids: Sequence[int]) -> list[int]:
    """Return the numbers of the entries about these rows. It reads the whole chain."""
    marks = ",".join("?" * len(row_ids))
    rows = database.rows(
        f"SELECT seq FROM chain WHERE fact = ? AND fact_id IN ({marks}) ORDER BY seq",
        (table, *row_ids),
    )
    return [row[0] for row in rows]


def content(database: Database, table: str, row_id: int) -> dict[str, Any] | None:
    """Return what an entry says: a row's columns but those at their default; None without a row."""
    return contents(database, table, [row_id]).get(row_id)


def contents(database: Database, table: str, row_ids: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Return the content of several rows, by id; rows that are not there are left out."""
    defaults = columns(database, table)
    names = [name for name in defaults if name not in ("id", *CHAINED[table].without)]
    marks = ",".join("?" * len(row_ids))
    rows = database.rows(
        f"SELECT id, {', '.join(names)} FROM {table} WHERE id IN ({marks})", row_ids
    )
    return {
        row_id: {
            name: value.hex() if isinstance(value, bytes) else value
            for name, value in zip(names, values, strict=True)
            if value != defaults[name]
        }
        for row_id, *values in rows
    }


def columns(database: Database, table: str) -> dict[str, Any]:
    """Return a table's columns and their defaults; empty if there is no such table."""
    return {
        name: database.rows(f"SELECT {default or 'NULL'}")[0][0]
        for _, name, _, _, default, _ in database.rows(f"PRAGMA table_info({table})")
    }


def entries(database: Database, last_seq: int) -> Iterator[dict[str, Any]]:
    """Yield the entries up to ``last_seq`` as an export has them, ``content`` as it is now."""
    after = 0
    sql = (
        "SELECT seq, recorded_utc_ns, fact, fact_id, salt, digest, head FROM chain"
        f" WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT {_PAGE}"
    )
    while page := database.rows(sql, (after, last_seq)):
        after = page[-1][0]
        found = {
            table: contents(database, table, [row[3] for row in page if row[2] == table])
            for table in {row[2] for row in page} & CHAINED.keys()
        }
        for seq, recorded_utc_ns, table, row_id, salt, digest, linked in page:
            yield {
                "seq": seq,
                "recorded_utc_ns": recorded_utc_ns,
                "table": table,
                "id": row_id,
                "salt": None if salt is None else salt.hex(),
                "digest": digest.hex(),
                "head": linked.hex(),
                "content": found.get(table, {}).get(row_id),
            }
