"""How the appliance is, in numbers and in words: microphones, backlog, heat, disk, alarms."""

from __future__ import annotations

import asyncio
import shutil
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge_asr import __version__
from edge_asr.accounts import alarm_fields
from edge_asr.alarms import AlarmCode
from edge_asr.backlog import load_of
from edge_asr.formats import rfc3339
from edge_asr.records import SourceState
from edge_asr.store.locks import is_listened_to, is_recognizing
from edge_asr.thermal import hottest_c

if TYPE_CHECKING:
    from pathlib import Path

    from edge_asr.alarms import Alarm
    from edge_asr.config import Config
    from edge_asr.serve.readers import Readers
    from edge_asr.store import Store

FRESH_S = 1.0
"""However many ask, the log is asked once in so long."""
_STATE_WORDS = {
    SourceState.HEARING: "Listening.",
    SourceState.NO_DEVICE: "No microphone.",
    SourceState.MUTED: "Muted.",
}
_NOT_LISTENING = "Not listening: edge-asr listen does not run."
_MB = 1_000_000


class Conditions:
    """Says how the appliance is.

    Args:
        config: which microphones there should be.
        readers: connections to its log.
    """

    def __init__(self, config: Config, readers: Readers) -> None:
        self._config = config
        self._readers = readers
        self._lock = asyncio.Lock()
        self._seen_at_s = -FRESH_S
        self._seen: dict[str, Any] = {}

    async def now(self) -> dict[str, Any]:
        """Return it, no older than a second.

        Raises:
            StoreError: the log cannot be read.
        """
        async with self._lock:
            if time.monotonic() - self._seen_at_s >= FRESH_S:
                self._seen = await self._readers.ask(
                    lambda store: condition_of(store, self._config)
                )
                self._seen_at_s = time.monotonic()
            return self._seen


def condition_of(store: Store, config: Config) -> dict[str, Any]:
    """Return how the appliance is.

    Raises:
        StoreError: the log cannot be read.
    """
    active = store.alarms.active()
    return {
        "version": __version__,
        "time_utc": rfc3339(time.time_ns()),
        "microphones": microphones(store, config, active),
        "recognizer": _recognizer(store, store.state_dir),
        "temperature_c": hottest_c(),
        "warm_from_c": config.second_pass.max_temperature_c or None,
        "disk": _disk(store.state_dir, config.retention.min_free_mb),
        "alarms": [alarm_fields(alarm) for alarm in active],
    }


def microphones(store: Store, config: Config, active: list[Alarm]) -> list[dict[str, Any]]:
    """Return each source that is configured or listened to, and how it is in words."""
    states = store.watches.states()
    configured = [microphone.name for microphone in config.microphones]
    also = [s for s in states if s not in configured and is_listened_to(store.state_dir, s)]
    return [
        _microphone(
            source,
            states.get(source) if is_listened_to(store.state_dir, source) else None,
            [alarm for alarm in active if alarm.source == source],
        )
        for source in (*configured, *also)
    ]


def _microphone(source: str, state: SourceState | None, alarms: list[Alarm]) -> dict[str, Any]:
    """Describe a source; ``state`` is None where nobody listens."""
    is_gone = any(alarm.code is AlarmCode.MIC_GONE for alarm in alarms)
    if state is SourceState.HEARING and is_gone:
        state = SourceState.NO_DEVICE  # which the next heartbeat will say, too
    words = _NOT_LISTENING if state is None else _STATE_WORDS[state]
    return {
        "source": source,
        "state": "not_listening" if state is None else state.value,
        "words": " ".join([words, *(_sentence(alarm.detail) for alarm in alarms)]),
        "alarms": [alarm.code.value for alarm in alarms],
    }


def _recognizer(store: Store, state_dir: Path) -> dict[str, Any]:
    load, n_quarantined = load_of(store), store.transcripts.backlog().n_quarantined
    runs = is_recognizing(state_dir)
    if not runs:  # how fast it was says nothing of when all will be done
        load = replace(load, rtf=None)
    words = _sentence(load.in_words())
    if not runs:
        words = f"Not transcribing: edge-asr recognize does not run. {words}"
    return {
        "state": "transcribing" if runs else "not_running",
        "words": words,
        "n_waiting": load.n,
        "backlog_s": round(load.backlog_s, 1),
        "n_quarantined": n_quarantined,
        "rtf": None if load.rtf is None else round(load.rtf, 3),
        "eta_s": None if load.eta_s is None else round(load.eta_s, 1),
    }


def _disk(state_dir: Path, min_free_mb: int) -> dict[str, Any]:
    found = shutil.disk_usage(state_dir)
    is_low = found.free < min_free_mb * _MB
    words = f"{found.free / 1e9:.1f} GB of {found.total / 1e9:.1f} GB are free."
    return {
        "free_bytes": found.free,
        "total_bytes": found.total,
        "is_low": is_low,
        "words": f"{words} The oldest sound goes." if is_low else words,
    }


def _sentence(words: str) -> str:
    return f"{words[:1].upper()}{words[1:].rstrip('.')}." if words else ""
