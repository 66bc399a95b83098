"""Is the database damaged? Asked at each start, within seconds; wholly after any sign of it.

A small log is looked at as a whole. Of one that takes longer, the rest is taken for sound: a page
that cannot be read ends whoever meets it, who leaves a note, and the next start looks at all.
"""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import apsw

from edge_asr.errors import DatabaseDamagedError, StoreError
from edge_asr.store.audio_files import AUDIO
from edge_asr.store.database import SUSPECT_SUFFIX
from edge_asr.store.files import file_errors
from edge_asr.store.frozen import open_to_read
from edge_asr.store.kept_schema import schema_damage
from edge_asr.store.readable import has_foreign_wal, has_log
from edge_asr.store.schema import MIGRATIONS
from edge_asr.store.wal import wal_damage
from edge_asr.store.wrong_rows import wrong_rows

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge_asr.store.database import Database

START_CHECK_S = 3.0
"""How long a start may look: some 300 MB on a card that reads 100 MB a second."""
_AGAIN_AFTER_S = 0.2


def find_damage(
    path: Path, *, whole: bool = False, alive: Callable[[], None] = lambda: None
) -> str | None:
    """Return what is wrong with the database ``path`` in a few words, or None.

    A second look has to agree: a failed read may look like damage, and so may a log that another
    process writes at this moment.

    Args:
        path: the database; a store's, so its sound lies beside it.
        whole: however long it takes, and with the content of the indexes.
        alive: is called often meanwhile.

    Raises:
        StoreError: it cannot be looked at, which is no damage.
    """
    whole = whole or path.with_name(f"{path.name}{SUSPECT_SUFFIX}").exists()
    found = _look(path, whole=whole, alive=alive)
    if found is not None:
        time.sleep(_AGAIN_AFTER_S)
        found = _look(path, whole=whole, alive=alive)
    return found


def _look(path: Path, *, whole: bool, alive: Callable[[], None]) -> str | None:
    with file_errors(path):
        if not path.exists() or not path.stat().st_size:
            has_sound = any((path.parent / AUDIO).glob("*/*/*/*.flac"))
            return "it is gone or empty, and there is sound that it knew" if has_sound else None
        if found := wal_damage(path.with_name(f"{path.name}-wal")):
            return found
    if has_foreign_wal(path):
        return "its write-ahead log is of another database"
    return schema_damage(path, len(MIGRATIONS)) or _look_inside(path, whole=whole, alive=alive)


def _look_inside(path: Path, *, whole: bool, alive: Callable[[], None]) -> str | None:
    deadline_s = time.monotonic() + START_CHECK_S

    def goes_on() -> bool:
        alive()
        return whole or time.monotonic() < deadline_s

    try:
        with closing(open_to_read(path)) as database:
            if database.user_version and not has_log(database):
                return "it is no log of edge-asr"
            return (
                database.problem(indexes=False, alive=goes_on)
                or database.problem(indexes=True, alive=goes_on)
                or (_changed(database, alive) if whole else None)
            )
    except DatabaseDamagedError as error:
        return str(error.__cause__)
    except StoreError as error:
        if isinstance(error.__cause__, apsw.ReadOnlyError):
            return None  # power went when it was made: whoever may write to it finishes that
        raise


def _changed(database: Database, alive: Callable[[], None]) -> str | None:
    for table, row_id in wrong_rows(database):
        alive()
        return f"{table} {row_id} is not what was written"
    return None
