"""Brings a database up to date, step by step.

``user_version`` says how many steps a database has seen. A step and its number are committed
together, so that a kill leaves the database before or after it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.store.schema import MIGRATIONS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.store.database import Database
    from edge_asr.store.schema import Migration


def migrate(database: Database, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Bring a database up to date.

    Raises:
        StoreError: it was made by a newer edge-asr, or a step failed.
    """
    refuse_newer(database, migrations)
    while database.user_version < len(migrations):
        with database.transaction():
            # Asked again inside: another process may have been faster.
            version = database.user_version
            if version < len(migrations):
                _apply(database, migrations[version], version + 1)


def check_version(database: Database, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Refuse a database that cannot be read as it is.

    Raises:
        StoreError: it is newer or older than this program.
    """
    refuse_newer(database, migrations)
    if database.user_version < len(migrations):
        raise StoreError(
            "the log was written by an older edge-asr; start edge-asr listen or recognize once, "
            "which bring it up to date",
        )


def refuse_newer(database: Database, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Refuse a database that a later version of this program has written.

    Raises:
        StoreError: it is one.
    """
    if database.user_version > len(migrations):
        raise StoreError(
            f"the log has version {database.user_version}, this edge-asr knows up to "
            f"{len(migrations)}; use the newer edge-asr that wrote it",
        )


def _apply(database: Database, migration: Migration, version: int) -> None:
    if isinstance(migration, str):
        database.script(migration)
    else:
        migration(database)
    database.rows(f"PRAGMA user_version = {version}")
