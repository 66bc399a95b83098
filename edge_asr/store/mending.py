"""A damaged database is set aside, and one with what could be read of it takes its place.

::

    log.sqlite3.mending     the new one while it is made: a kill leaves it, and it is made anew
    log.sqlite3.mended      the new one when it is whole: a kill leaves it, and it is put in place
    damaged/log-...         the old one, with its write-ahead log; never deleted

The new one has the rows that could be read (:mod:`edge_asr.store.salvage`), the sound on disk that
no row is about, an event that says what was done, and an alarm that stays until somebody has looked
(``edge-asr log repair``).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import apsw

from edge_asr.alarms import AlarmCode
from edge_asr.clock import now
from edge_asr.store.alarms import Alarms
from edge_asr.store.chain import CHAINED, append
from edge_asr.store.damage import find_damage
from edge_asr.store.database import BUSY_TIMEOUT_MS, DATABASE, SUSPECT_SUFFIX, Database
from edge_asr.store.events import EventKind, record
from edge_asr.store.files import (
    OWNER_ONLY,
    file_errors,
    give_to_owner,
    lock_file,
    make_directory,
    sync,
)
from edge_asr.store.headers import new_uid
from edge_asr.store.kept_schema import keep_schema
from edge_asr.store.migrating import migrate
from edge_asr.store.readable import readable
from edge_asr.store.recovery import DAMAGED, adopt
from edge_asr.store.salvage import CHAIN, Salvage, carry_over, lost_entries
from edge_asr.store.sqlite_errors import as_sentence

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from edge_asr.store.salvage import Ranges

_MENDING, _MENDED, _READING = ".mending", ".mended", ".reading"
_BESIDE = ("", "-wal", "-shm")
"""What SQLite has of one database: suffixes of its files."""
_LOCK = "mending.lock"
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Mended:
    """A damaged database was replaced."""

    why: str
    """What was wrong with it."""
    set_aside: Path
    """Where the old one is now; there may be none."""
    n_rows: int
    """Carried over."""
    n_lost: int
    """Entries of the chain that were lost, or whose content was."""
    n_adopted: int
    """Utterances whose sound was found without a row; they are transcribed again."""

    def __str__(self) -> str:
        lost = f"{self.n_lost} entries of the log are lost" if self.n_lost else "nothing is lost"
        return (
            f"the database was damaged ({self.why}) and is kept as {self.set_aside.name}; "
            f"{self.n_rows} rows were carried over, {lost}, {self.n_adopted} utterances were taken "
            "in from their sound"
        )


def mend(
    state_dir: Path, *, whole: bool = False, alive: Callable[[], None] = lambda: None
) -> Mended | None:
    """Replace the database of a store if it is damaged; return what was done, or None.

    Nothing may be open here that writes. Other processes that have the old one open end at their
    next write; what they were hearing is recovered when they start again.

    Args:
        state_dir: the store's.
        whole: look at all of it, however long that takes.
        alive: is called often.

    Raises:
        StoreError: the disk refuses; the damaged one is still where it was.
    """
    path = state_dir / DATABASE
    with file_errors(state_dir):
        if not state_dir.is_dir():
            return None
        with _alone(state_dir, alive):
            if _beside(path, _MENDED).exists():
                _put_in_place(path)
            for left in state_dir.glob(f"{DATABASE}{_MENDING}*"):
                left.unlink()
            why = find_damage(path, whole=whole, alive=alive)
            mended = None if why is None else _replace(path, why, alive)
            _beside(path, SUSPECT_SUFFIX).unlink(missing_ok=True)
            if path.exists():
                keep_schema(path)
            for made in _made_in(state_dir):
                with contextlib.suppress(FileNotFoundError):  # others come and go meanwhile
                    give_to_owner(state_dir, made)
    return mended


def _made_in(state_dir: Path) -> Iterator[Path]:
    """Yield what may have been made here, by root perhaps, and belongs to the state directory."""
    yield from state_dir.glob(f"{DATABASE}*")
    for folder in (state_dir / "locks", state_dir / DAMAGED):
        if folder.is_dir():
            yield from (folder, *folder.iterdir())


def note_suspicion(state_dir: Path) -> None:
    """Have the next start look at all of the database, if the disk takes note of it."""
    with contextlib.suppress(OSError):
        _beside(state_dir / DATABASE, SUSPECT_SUFFIX).touch(OWNER_ONLY)


def acknowledge(state_dir: Path) -> bool:
    """Clear the alarm of an earlier repair: somebody has looked at it. Whether there was one.

    Raises:
        StoreError: there is no log, or the disk refuses.
    """
    database = Database(state_dir / DATABASE)
    try:
        seen = "somebody asked for the log to be checked"
        return Alarms(database).clear_alarm(AlarmCode.LOG_DAMAGED, "", seen, moment=now())
    finally:
        database.close()


@contextmanager
def _alone(state_dir: Path, alive: Callable[[], None]) -> Iterator[None]:
    """Be the only one that looks for damage: whoever starts meanwhile waits."""
    path = state_dir / "locks" / _LOCK
    make_directory(path.parent)
    while (descriptor := lock_file(path, create=True)) is None:
        alive()
        time.sleep(_POLL_S)
    try:
        yield
    finally:
        os.close(descriptor)


def _replace(path: Path, why: str, alive: Callable[[], None]) -> Mended:
    aside = path.parent / DAMAGED / f"log-{new_uid(time.time_ns())}.sqlite3"
    with _held_up(path):
        fresh = _beside(path, _MENDING)
        mended = _make(path, fresh, aside, why, alive)
        sync(fresh)
        make_directory(aside.parent)
        for suffix in _BESIDE:
            with contextlib.suppress(FileNotFoundError):
                _name_again(_beside(path, suffix), _beside(aside, suffix))
        sync(aside.parent)
        fresh.replace(_beside(path, _MENDED))
        sync(path.parent)
        _put_in_place(path)
    return mended


def _name_again(path: Path, other: Path) -> None:
    """Give a file another name; where the file system knows no second names, copy it."""
    try:
        os.link(path, other)
    except PermissionError:
        shutil.copyfile(path, other)
        sync(other)


def _put_in_place(path: Path) -> None:
    """Put the new database where the old one is, of which there is another name by now."""
    for suffix in _BESIDE[1:]:
        # What is left of the old one would be taken for the new one's.
        _beside(path, suffix).unlink(missing_ok=True)
    sync(path.parent)
    _beside(path, _MENDED).replace(path)
    sync(path.parent)


@contextmanager
def _held_up(path: Path) -> Iterator[None]:
    """Hold up whoever writes to the damaged database; if it takes no lock, nobody can write to it.

    It writes nothing itself, not even when it ends.

    Raises:
        StoreError: somebody writes for too long.
    """
    with contextlib.ExitStack() as stack:
        try:
            held = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
            stack.callback(held.close)
            held.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            held.set_busy_timeout(BUSY_TIMEOUT_MS)
            held.execute("BEGIN IMMEDIATE")
        except apsw.BusyError as error:
            raise as_sentence(path, error) from error
        except apsw.Error:
            pass
        yield


def _make(path: Path, fresh: Path, aside: Path, why: str, alive: Callable[[], None]) -> Mended:
    new = Database(fresh)
    try:
        new.rows("PRAGMA synchronous = OFF")  # the file is synchronised when it is whole
        migrate(new)
        with readable(path, _beside(path, _READING)) as old:
            salvage = Salvage() if old is None else carry_over(old, new, alive)
        lost = lost_entries(new, salvage)
        _write_down(new, salvage, lost, aside, why)
        n_adopted = len(adopt(new, path.parent).recovered)
        mended = Mended(
            why,
            aside,
            sum(salvage.n_rows.values()),
            sum(last - first + 1 for first, last in lost),
            n_adopted,
        )
        Alarms(new).raise_alarm(AlarmCode.LOG_DAMAGED, "", str(mended), moment=now())
    finally:
        new.close()
    return mended


def _write_down(new: Database, salvage: Salvage, lost: Ranges, aside: Path, why: str) -> None:
    """Say in the log what was done, and chain again what has lost its entry."""
    detail = {
        "why": why,
        "set_aside": aside.name,
        "rows": salvage.n_rows,
        "lost": {table: _in_words(ranges) for table, ranges in salvage.lost.items()},
        "entries": _in_words(lost),
    }
    with new.transaction():
        record(new, EventKind.SALVAGED, detail, at_least=salvage.last_seq + 1)
        if CHAIN not in salvage.lost and salvage.n_rows.get(CHAIN):
            return
        for table, chained in CHAINED.items():
            for (row_id,) in new.rows(
                f"SELECT id FROM {table} WHERE {chained.final} EXCEPT"
                f" SELECT fact_id FROM {CHAIN} WHERE fact = ? ORDER BY id",
                (table,),
            ):
                append(new, table, row_id)


def _in_words(ranges: Ranges) -> str:
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in ranges)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
