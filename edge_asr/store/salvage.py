"""Carrying over what can be read of a damaged database into a new one.

A table is read by row number from its beginning until a page cannot be read, then from its end, and
what is left between the two is halved and halved again: a lost page costs the rows on it, and no
others. Indexes are not read, they grow anew.

A row that is not what its entry in the chain says is damaged, too, and left out.

What was lost stays visible. Numbers are not used again, so a lost row leaves a hole; entries of the
chain that were lost leave a hole in the chain; and an event names both.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

from edge_asr.errors import DiskRefusesError, StoreError
from edge_asr.store.chain import CHAINED
from edge_asr.store.wrong_rows import wrong_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from edge_asr.store.database import Database, Row

Ranges = list[tuple[int, int]]
"""Row numbers, each first and last."""
CHAIN = "chain"
_SEQUENCES = "sqlite_sequence"
_BATCH = 500
_MAX_LOOKS = 10_000
"""How often a table is asked at most: a part of a second. What is unknown then is given up."""
_FRUITLESS = 500
"""After so many without a row there is none, as far as anybody can tell."""
_BEYOND = 100_000
"""How far to look where nothing says how many rows there were."""


@dataclass(slots=True)
class Salvage:
    """What came of it."""

    n_rows: dict[str, int] = field(default_factory=dict)
    """Table -> how many rows were carried over."""
    lost: dict[str, Ranges] = field(default_factory=dict)
    """Table -> numbers of rows that could not be read, or not be kept."""
    last_seq: int = 0
    """The last entry that the chain had, as far as is known."""


def carry_over(old: Database, new: Database, alive: Callable[[], None]) -> Salvage:
    """Carry over what can be read of ``old`` into the tables of ``new``, which is as good as empty.

    Args:
        old: what is damaged, opened to read.
        new: of the current schema; no other process may know it yet.
        alive: is called often.

    Raises:
        StoreError: the new one cannot be written.
    """
    salvage = Salvage()
    last = _last_numbers(old)
    new.rows("PRAGMA foreign_keys = OFF")
    _empty(new)
    for table, is_numbered in _tables(new):
        names = [name for name in _columns(new, table) if name in _columns(old, table)]
        if not names:
            continue
        reader = RowReader(old, table, names)
        # Of each fact there is one entry, so that the numbers of all tell how many entries.
        rows = reader.numbered(last.get(table, sum(last.values()))) if is_numbered else reader.all()
        while batch := list(islice(rows, _BATCH)):
            with new.transaction():
                n_kept = sum(_insert(new, table, names, row, reader.lost) for row in batch)
            salvage.n_rows[table] = salvage.n_rows.get(table, 0) + n_kept
            alive()
        if reader.lost:
            salvage.lost[table] = merged(reader.lost)
    with new.transaction():
        for table, number in sorted(set(wrong_rows(new))):
            alive()
            _leave_out(new, salvage, table, number)
        _leave_out_orphans(new, salvage)
        _go_on_counting(new, last)
        salvage.last_seq = _last_seq(new, salvage)
    new.rows("PRAGMA foreign_keys = ON")
    return salvage


class RowReader:
    """Reads what can be read of one table."""

    def __init__(self, database: Database, table: str, columns: list[str]) -> None:
        self.lost: Ranges = []
        self._database = database
        self._table = table
        self._columns = ", ".join(columns)
        self._n_looks = self._n_found = 0

    def numbered(self, last: int) -> Iterator[Row]:
        """Yield rows as (number, columns...).

        Args:
            last: the last number, where the table itself cannot say it.
        """
        try:
            found = self._database.row(f"SELECT max(rowid) FROM {self._table}")
            last = found[0] if found and found[0] is not None else 0
        except StoreError:
            last = last or _BEYOND
        pending = deque([(1, last)])
        while pending:
            first, last = pending.popleft()  # coarse before fine
            first = yield from self._read(first, last, step=1)
            if first <= last:
                last = yield from self._read(first, last, step=-1)
            if first > last:
                continue
            if first == last or self._n_looks > (_MAX_LOOKS if self._n_found else _FRUITLESS):
                self.lost.append((first, last))
            else:
                middle = (first + last) // 2
                pending += [(first, middle), (middle + 1, last)]

    def _read(self, first: int, last: int, *, step: int) -> Generator[Row, None, int]:
        """Yield rows from one end; return where it goes on: beyond the other end if all is read."""
        self._n_looks += 1
        at = first if step > 0 else last
        sql = (
            f"SELECT rowid, {self._columns} FROM {self._table} WHERE rowid BETWEEN ? AND ?"
            f" ORDER BY rowid {'ASC' if step > 0 else 'DESC'}"
        )
        try:
            for row in self._database.each(sql, (first, last)):
                if first <= row[0] <= last and (row[0] - at) * step >= 0:
                    at = row[0] + step
                    self._n_found += 1
                    yield row
        except StoreError:
            return at
        return last + 1 if step > 0 else first - 1

    def all(self) -> Iterator[Row]:
        """Yield the rows of a small table without numbers, (0, columns...); some of them twice."""
        for order in ("ASC", "DESC"):
            try:
                sql = f"SELECT 0, {self._columns} FROM {self._table} ORDER BY 2 {order}"
                yield from self._database.each(sql)
            except StoreError:
                continue
            return


def merged(ranges: Ranges) -> Ranges:
    """Return ranges in order, those that touch as one."""
    whole: Ranges = []
    for first, last in sorted(ranges):
        if whole and first <= whole[-1][1] + 1:
            whole[-1] = (whole[-1][0], max(last, whole[-1][1]))
        else:
            whole.append((first, last))
    return whole


def lost_entries(new: Database, salvage: Salvage) -> Ranges:
    """Return the entries of the chain that are lost, or whose content is."""
    lost = [
        (first, min(last, salvage.last_seq))
        for first, last in salvage.lost.get(CHAIN, [])
        if first <= salvage.last_seq
    ]
    end = new.rows(f"SELECT coalesce(max(seq), 0) FROM {CHAIN}")[0][0]
    if end < salvage.last_seq:
        lost.append((end + 1, salvage.last_seq))
    for table in CHAINED:
        for first, last in salvage.lost.get(table, []):
            found = new.rows(
                f"SELECT seq FROM {CHAIN} WHERE fact = ? AND fact_id BETWEEN ? AND ? AND salt NOT"
                f" NULL AND NOT EXISTS (SELECT 1 FROM {table} t WHERE t.id = fact_id)",
                (table, first, last),
            )
            lost += [(seq, seq) for (seq,) in found]
    return merged(lost)


def _tables(database: Database) -> list[tuple[str, bool]]:
    """Return the tables with rows of their own, and whether these are numbered."""
    return [
        (name, not without_rowid)
        for name, without_rowid in database.rows(
            "SELECT name, wr FROM pragma_table_list WHERE schema = 'main' AND type = 'table'"
            " AND name NOT LIKE 'sqlite!_%' ESCAPE '!' ORDER BY name"
        )
    ]


def _columns(database: Database, table: str) -> list[str]:
    try:
        rows = database.rows("SELECT name FROM pragma_table_info(?)", (table,))
    except StoreError:
        return []
    return [str(name) for (name,) in rows]


def _last_numbers(old: Database) -> dict[str, int]:
    """Return how far the tables had counted, as far as that can be read."""
    try:
        return {
            str(table): int(seq)
            for table, seq in old.rows(f"SELECT name, seq FROM {_SEQUENCES}")
            if table in CHAINED and isinstance(seq, int)
        }
    except StoreError:
        return {}


def _empty(new: Database) -> None:
    """Take out what a new database says of its own beginning: the old one's takes its place."""
    with new.transaction():
        for table in (CHAIN, "events", _SEQUENCES):
            new.rows(f"DELETE FROM {table}")


def _insert(new: Database, table: str, names: list[str], row: Row, lost: Ranges) -> bool:
    """Insert a row; one that breaks the rules of its table is damaged, and counts as lost."""
    number, *values = row
    marks = ",".join("?" * len(values))
    sql = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"
    try:
        new.rows(sql, values)
    except DiskRefusesError:
        raise
    except StoreError:
        if number:
            lost.append((number, number))
        return False
    return True


def _leave_out(new: Database, salvage: Salvage, table: str, number: int) -> None:
    new.rows(f"DELETE FROM {table} WHERE rowid = ?", (number,))
    salvage.lost[table] = merged([*salvage.lost.get(table, []), (number, number)])
    salvage.n_rows[table] -= 1


def _leave_out_orphans(new: Database, salvage: Salvage) -> None:
    """Leave out rows about rows that are lost, such as the text of an utterance."""
    while orphans := new.rows('SELECT "table", rowid FROM pragma_foreign_key_check'):
        for table, number in orphans:
            if number is None:  # a table without numbers
                new.rows(
                    f"DELETE FROM {table} WHERE utterance_id NOT IN (SELECT id FROM utterances)"
                )
                salvage.n_rows[table] -= 1
            else:
                _leave_out(new, salvage, table, number)


def _go_on_counting(new: Database, last: dict[str, int]) -> None:
    """Have every table count on from the highest number that was ever used in it."""
    for table in CHAINED:
        highest = new.rows(
            f"SELECT max(coalesce((SELECT max(id) FROM {table}), 0),"
            f" coalesce((SELECT max(fact_id) FROM {CHAIN} WHERE fact = ?), 0), ?)",
            (table, last.get(table, 0)),
        )[0][0]
        new.rows(f"DELETE FROM {_SEQUENCES} WHERE name = ?", (table,))
        new.rows(f"INSERT INTO {_SEQUENCES} (name, seq) VALUES (?, ?)", (table, highest))


def _last_seq(new: Database, salvage: Salvage) -> int:
    """Return the last entry the chain had: more than can be read, if its end is lost."""
    found = int(new.rows(f"SELECT coalesce(max(seq), 0) FROM {CHAIN}")[0][0])
    is_end_lost = any(last > found for _, last in salvage.lost.get(CHAIN, []))
    if not is_end_lost and salvage.n_rows.get(CHAIN):
        return found
    counted = new.rows(f"SELECT coalesce(sum(seq), 0) FROM {_SEQUENCES}")[0][0]
    return max(found, int(counted))
