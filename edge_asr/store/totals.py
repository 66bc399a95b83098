"""What the log adds up to: sums that only ever grow, as a monitoring system wants them.

A log of years has millions of rows, and is asked every few seconds. Rows are added with rising ids,
so each is counted once: :class:`Totals` says what was counted, and up to where. A row that is
removed later (retention, a redaction) was counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from edge_asr.store.events import log_name

if TYPE_CHECKING:
    from edge_asr.store.database import Database

LATENCY_BOUNDS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""Upper bounds of the histogram of latencies."""
_BEYOND = "+Inf"
_TABLES = ("utterances", "transcripts", "gaps", "alarms", "watch_ends")
_LATENCY_S = "((t.created_utc_ns - u.start_utc_ns) / 1e9 - u.n_samples / 16000.0)"
_BUCKET = (
    "CASE "
    + " ".join(f"WHEN {_LATENCY_S} <= {bound} THEN '{bound}'" for bound in LATENCY_BOUNDS_S)
    + f" ELSE '{_BEYOND}' END"
)
_OF_TRANSCRIPTS = "transcripts t JOIN utterances u ON u.id = t.utterance_id WHERE t.id"
_SUMS = (
    # What is summed up (each a name), by which labels, of which rows.
    (
        "utterances",
        ("utterances", "samples"),
        (
            "SELECT source, count(*), sum(n_samples) FROM utterances"
            " WHERE id > ? AND id <= ? GROUP BY source"
        ),
    ),
    (
        "transcripts",
        ("transcripts", "decode_s", "decoded_samples"),
        (
            "SELECT t.bundle, count(*), total(t.decode_s), sum(u.n_samples)"
            f" FROM {_OF_TRANSCRIPTS} > ? AND t.id <= ? GROUP BY t.bundle"
        ),
    ),
    (
        # A latency below zero only says that a clock was set meanwhile.
        "transcripts",
        ("latency", "latency_s"),
        (
            f"SELECT {_BUCKET}, count(*), total({_LATENCY_S}) FROM {_OF_TRANSCRIPTS} > ?"
            f" AND t.id <= ? AND t.version = 1 AND {_LATENCY_S} >= 0 GROUP BY 1"
        ),
    ),
    (
        "gaps",
        ("gaps", "gap_s"),
        (
            "SELECT source, kind, count(*), total(duration_s) FROM gaps"
            " WHERE id > ? AND id <= ? GROUP BY source, kind"
        ),
    ),
    (
        "alarms",
        ("alarms",),
        "SELECT code, source, count(*) FROM alarms WHERE id > ? AND id <= ? GROUP BY code, source",
    ),
    (
        "watch_ends",
        ("heard", "invalid"),
        (
            "SELECT w.source, sum(e.n_samples), sum(e.n_invalid) FROM watch_ends e JOIN watches w"
            " ON w.id = e.watch_id WHERE e.id > ? AND e.id <= ? GROUP BY w.source"
        ),
    ),
)
_HEARTBEATS = (
    "SELECT w.source, sum(h.n_samples), sum(h.n_invalid) FROM heartbeats h JOIN watches w"
    " ON w.id = h.watch_id GROUP BY w.source"
)

Sums = dict[tuple[str, ...], float]
"""Name and labels, such as ``("gaps", "mic", "overflow")`` -> how many, or how much."""


@dataclass
class Totals:
    """What was counted so far, and up to which row of each table."""

    log: str = ""
    """Which log it is of."""
    counted_to: dict[str, int] = field(default_factory=dict)
    sums: Sums = field(default_factory=dict)

    def as_json(self) -> str:
        """Return all of it as text, for :meth:`parsed`."""
        sums = [[*key, value] for key, value in self.sums.items()]
        return json.dumps({"log": self.log, "counted_to": self.counted_to, "sums": sums})

    @classmethod
    def parsed(cls, text: str) -> Self:
        """Return what :meth:`as_json` wrote; nothing counted, if it is nothing of the kind."""
        try:
            found = json.loads(text)
            sums = {tuple(map(str, key)): float(value) for *key, value in found["sums"]}
            counted_to = {str(name): int(last) for name, last in found["counted_to"].items()}
            return cls(str(found["log"]), counted_to, sums)
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls()


class Counting:
    """Counts what was added."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counted(self, totals: Totals) -> Sums:
        """Count in ``totals`` what the log has beyond it, and return all sums as of now.

        Raises:
            StoreError: the log cannot be read; nothing was counted.
        """
        with self._database.snapshot():
            log = log_name(self._database)
            is_same = totals.log == log
            counted_to = totals.counted_to if is_same else {}
            sums = dict(totals.sums) if is_same else {}
            last = ", ".join(f"(SELECT coalesce(max(id), 0) FROM {name})" for name in _TABLES)
            reached = dict(zip(_TABLES, self._database.rows(f"SELECT {last}")[0], strict=True))
            for table, names, sql in _SUMS:
                self._add(sums, names, sql, (counted_to.get(table, 0), reached[table]))
            # What the watches that go on have heard so far is not final.
            now = dict(sums)
            self._add(now, ("heard", "invalid"), _HEARTBEATS, ())
        totals.log, totals.counted_to, totals.sums = log, reached, sums
        return now

    def _add(
        self, sums: Sums, names: tuple[str, ...], sql: str, parameters: tuple[int, ...]
    ) -> None:
        for row in self._database.rows(sql, parameters):
            labels, values = row[: -len(names)], row[-len(names) :]
            for name, value in zip(names, values, strict=True):
                key = (name, *labels)
                sums[key] = sums.get(key, 0) + value
