"""Which sources are muted: a file for each, so that a mute outlives a restart and a power cut.

The file alone decides, and its name is looked at ten times a second: a mute needs neither the
database nor a free byte. That somebody muted or unmuted is an event of the log.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from edge_asr.store.events import EventKind, record
from edge_asr.store.files import OWNER_ONLY, file_errors, give_to_owner, make_directory, sync
from edge_asr.store.locks import name_on_disk

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.store.database import Database


class MuteFiles:
    """The mutes of one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self._directory = state_dir / "muted"

    def is_muted(self, source: str, *, before: bool = False) -> bool:
        """Say whether a source is muted.

        Args:
            source: its name.
            before: whether it was, which holds as long as the directory itself is not there: a
                state directory that is moved away unmutes nobody.

        Raises:
            StoreError: it cannot be found out.
        """
        return self.since_utc_ns(source) is not None or (before and not self._directory.is_dir())

    def since_utc_ns(self, source: str) -> int | None:
        """Return when a source was muted, by the clock of that time; None: it is not.

        Raises:
            StoreError: it cannot be found out.
        """
        path = self._path(source)
        with file_errors(path):
            try:
                return path.stat().st_mtime_ns
            except FileNotFoundError:
                return None

    def keep(self, source: str, *, muted: bool) -> None:
        """Make a mute, or its end, outlive whatever comes.

        Raises:
            StoreError: the disk refuses.
        """
        path = self._path(source)
        with file_errors(path):
            if muted:
                make_directory(self._directory)
                flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC
                os.close(os.open(path, flags, OWNER_ONLY))
                give_to_owner(self._state_dir, self._directory, path)  # the listener looks at it
            else:
                path.unlink(missing_ok=True)
            if self._directory.is_dir():
                sync(self._directory)

    def _path(self, source: str) -> Path:
        return self._directory / name_on_disk(source)


class Mutes(MuteFiles):
    """The same, and what the log says about it.

    A command keeps a mute before it is in the log, and writes down its end before that holds: so
    nothing was recorded while the log says that it was muted. A signal holds at once, and is in the
    log about a second later.
    """

    def __init__(self, database: Database, state_dir: Path) -> None:
        super().__init__(state_dir)
        self._database = database

    def record(self, source: str, *, muted: bool, by: str) -> None:
        """Write down that somebody muted or unmuted a source.

        Raises:
            StoreError: the disk refuses.
        """
        kind = EventKind.MUTED if muted else EventKind.UNMUTED
        with self._database.transaction():
            record(self._database, kind, {"source": source, "by": by})
