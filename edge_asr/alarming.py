"""Alarm changes -> the log, and whoever observes. A disk that refuses is asked again."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from edge_asr.clock import now
from edge_asr.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from edge_asr.alarms import AlarmChange, AlarmCode
    from edge_asr.store import Store


class AlarmBook:
    """Writes the changes of alarms down.

    Args:
        store: where to.
        source: whose alarms they are; empty: the whole appliance's.
        observe: is told of each change, once, after it was committed.
    """

    def __init__(self, store: Store, source: str, observe: Callable[[AlarmChange], None]) -> None:
        self._store = store
        self._source = source
        self._observe = observe
        self._unwritten: dict[AlarmCode, AlarmChange] = {}

    def take(self, changes: Iterable[AlarmChange]) -> None:
        """Write changes down."""
        for change in changes:
            self._unwritten[change.code] = replace(change, source=self._source)
        self.retry()

    def retry(self) -> None:
        """Write down what could not be written before."""
        for code, change in list(self._unwritten.items()):
            try:
                is_news = self._write(change)
            except StoreError:
                return
            del self._unwritten[code]
            if is_news:
                self._observe(change)

    def clear_all(self, why: str) -> None:
        """Clear all alarms of the source: nobody will know of them any more."""
        for alarm in self._store.alarms.active(self._source):
            self._store.alarms.clear_alarm(alarm.code, self._source, why, moment=now())

    def _write(self, change: AlarmChange) -> bool:
        alarms, moment = self._store.alarms, now()
        if not change.active:
            return alarms.clear_alarm(change.code, self._source, change.detail, moment=moment)
        raised = alarms.raise_alarm(change.code, self._source, change.detail, moment=moment)
        return raised is not None
