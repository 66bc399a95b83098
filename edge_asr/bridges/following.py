"""Reads the log on from a kept position, so that what was handed over is not handed over again.

The position is in a file beside the log. It moves once what it leaves behind was handed over: what
dies in between hands over a few things twice, and never loses one.
"""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.store.files import OWNER_ONLY, file_errors, lock_file, make_directory, replace_file
from edge_asr.store.log import Entry
from edge_asr.store.news import Position

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

    from edge_asr.records import Utterance
    from edge_asr.store import Store
    from edge_asr.store.news import Item

FOLDER = "bridges"
LOOK_S = 0.25
"""How often it is asked whether the database has changed."""
_BEGINNING = Position(0, 0, 0, 0, 0)


class Following:
    """Follows a log. The first time it begins at its end; another log it reads from the beginning.

    Args:
        store: whose log.
        name: of the position: each reader has one.
        at_once: how much of each kind is read at once, and so handed over twice at most.

    Raises:
        StoreError: the disk refuses.
    """

    def __init__(self, store: Store, name: str, at_once: int) -> None:
        self._store = store
        self._path = store.state_dir / FOLDER / f"{name}.json"
        self._at_once = at_once
        self._seen: int | None = None
        self._log = store.log_name
        self._position = self._kept() or store.news.position()
        self._ahead = self._position
        self._keep()

    @property
    def position(self) -> Position:
        """Until where all was handed over."""
        return self._position

    def news(self) -> list[Item | Utterance]:
        """Return what comes next: the same again, until :meth:`handed_over` was called.

        A version of a text that does not stand for its utterance any more is left out, and so is
        what was redacted.

        Raises:
            StoreError: the log cannot be read.
        """
        version = self._store.data_version
        if version == self._seen:
            return []
        found, self._ahead = self._store.news.since(self._position, self._at_once)
        if self._ahead == self._position:
            self._seen = version
        return [item for item in found if not isinstance(item, Entry) or self._stands(item)]

    def handed_over(self) -> None:
        """Move on: what :meth:`news` returned is where it should be.

        Raises:
            StoreError: the disk refuses.
        """
        if self._ahead != self._position:
            self._position = self._ahead
            self._keep()

    def wait(self, stop: threading.Event) -> None:
        """Wait a moment if there was nothing new."""
        if self._seen is not None and self._store.data_version == self._seen:
            stop.wait(LOOK_S)

    def _stands(self, entry: Entry) -> bool:
        latest = self._store.transcripts.latest(entry.utterance.utterance_id)
        return latest is not None and latest.version == entry.transcript.version

    def _kept(self) -> Position | None:
        """Return the position that was kept; None if there is none."""
        try:
            kept = json.loads(self._path.read_text(encoding="utf-8"))
            position, log = Position.parsed(str(kept["position"])), kept["log"]
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError):
            position, log = None, None
        if position is None:
            raise StoreError(
                f"{self._path}: says nothing of a position; remove it to go on with what comes "
                "from now on"
            )
        return position if log == self._log else _BEGINNING

    def _keep(self) -> None:
        kept = json.dumps({"log": self._log, "position": str(self._position)})
        with file_errors(self._path):
            make_directory(self._path.parent)
            replace_file(self._path, kept.encode(), mode=OWNER_ONLY)


@contextmanager
def only_one(store: Store, name: str) -> Iterator[None]:
    """Be the one who follows the log under this name.

    Raises:
        StoreError: another process is.
    """
    path = store.state_dir / FOLDER / f"{name}.lock"
    with file_errors(path):
        make_directory(path.parent)
        descriptor = lock_file(path, create=True)
    if descriptor is None:
        raise StoreError(f"another process does the same for {store.state_dir}; stop it first")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is still ours
        os.close(descriptor)
