"""The schema, as the list of steps that led to it. A step that was released is never edited.

A step is SQL, or a function where SQL is not enough. :mod:`edge_asr.store.migrating` takes them.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from edge_asr.store.chain import CHAINED, append_existing
from edge_asr.store.events import EventKind, record
from edge_asr.verify_log import EVENTS, FORMAT

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.store.database import Database

    Migration = str | Callable[[Database], None]

_FIRST = """
CREATE TABLE utterances (
  id                 INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice, in order of commits
  uid                TEXT NOT NULL UNIQUE,               -- closing it again is harmless
  source             TEXT NOT NULL,
  start_utc_ns       INTEGER NOT NULL,
  start_monotonic_ns INTEGER NOT NULL,
  boot_id            TEXT NOT NULL,
  clock_quality      TEXT NOT NULL,
  n_samples          INTEGER NOT NULL,
  end_reason         TEXT NOT NULL,
  audio_path         TEXT NOT NULL,                      -- relative to the state directory
  audio_sha256       TEXT NOT NULL,
  audio_bytes        INTEGER NOT NULL
) STRICT;

CREATE TABLE transcripts (
  id                   INTEGER PRIMARY KEY AUTOINCREMENT,
  utterance_id         INTEGER NOT NULL REFERENCES utterances (id),
  version              INTEGER NOT NULL,
  text                 TEXT NOT NULL,
  language             TEXT NOT NULL,
  language_probability REAL,
  task                 TEXT NOT NULL,
  decode_s             REAL NOT NULL,
  avg_logprob          REAL,
  flags                TEXT NOT NULL,                    -- a JSON list
  bundle               TEXT NOT NULL,
  bundle_sha256        TEXT NOT NULL,
  created_utc_ns       INTEGER NOT NULL,
  UNIQUE (utterance_id, version)
) STRICT;

CREATE TABLE failures (
  utterance_id INTEGER PRIMARY KEY REFERENCES utterances (id),
  tries        INTEGER NOT NULL,                         -- it raised, or crashed the recognizer
  kills        INTEGER NOT NULL,                         -- the recognizer vanished without a word
  error        TEXT NOT NULL,                            -- the last one
  last_utc_ns  INTEGER NOT NULL
) STRICT;

CREATE TABLE gaps (
  id                 INTEGER PRIMARY KEY AUTOINCREMENT,
  source             TEXT NOT NULL,
  kind               TEXT NOT NULL,
  start_utc_ns       INTEGER NOT NULL,
  start_monotonic_ns INTEGER NOT NULL,
  boot_id            TEXT NOT NULL,
  clock_quality      TEXT NOT NULL,
  duration_s         REAL NOT NULL,
  detail             TEXT NOT NULL
) STRICT;

-- The words of all versions; the text itself stays in the table above.
CREATE VIRTUAL TABLE words USING fts5 (
  text, content = 'transcripts', content_rowid = 'id', tokenize = 'unicode61 remove_diacritics 2'
);
-- Smaller leaves than 4050 bytes: a fifth fewer bytes are written for each transcript.
INSERT INTO words (words, rank) VALUES ('pgsz', 1000);
CREATE TRIGGER transcripts_added AFTER INSERT ON transcripts BEGIN
  INSERT INTO words (rowid, text) VALUES (new.id, new.text);
END;
CREATE TRIGGER transcripts_removed AFTER DELETE ON transcripts BEGIN
  INSERT INTO words (words, rowid, text) VALUES ('delete', old.id, old.text);
END;
CREATE TRIGGER transcripts_changed AFTER UPDATE OF text ON transcripts BEGIN
  INSERT INTO words (words, rowid, text) VALUES ('delete', old.id, old.text);
  INSERT INTO words (rowid, text) VALUES (new.id, new.text);
END;
"""

_CHAIN = """
-- What happened to the log itself.
CREATE TABLE events (
  id             INTEGER PRIMARY KEY AUTOINCREMENT,
  kind           TEXT NOT NULL,
  detail         TEXT NOT NULL,                          -- a JSON object
  created_utc_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE chain (
  seq             INTEGER PRIMARY KEY,                   -- 1, 2, 3, ... without holes
  recorded_utc_ns INTEGER NOT NULL,
  fact            TEXT NOT NULL,                         -- name of the table
  fact_id         INTEGER NOT NULL,
  salt            BLOB,                                  -- gone with the content
  digest          BLOB NOT NULL,
  head            BLOB NOT NULL
) STRICT;
"""


def _begin_chain(database: Database) -> None:
    """Chain what is there: it is vouched for from here on."""
    database.script(_CHAIN)
    record(database, EventKind.BEGUN, {"log": secrets.token_hex(16), "format": FORMAT})
    append_existing(database, [table for table in CHAINED if table != EVENTS])


_WORDS_AND_CERTAINTY = """
-- A JSON list of [text, start_s, end_s]; seconds from the start of the utterance.
ALTER TABLE transcripts ADD COLUMN words TEXT NOT NULL DEFAULT '[]';
ALTER TABLE transcripts ADD COLUMN ctc_max_entropy REAL;  -- nats
"""

_LEDGER = """
-- Who listened to a source, and from when on.
CREATE TABLE watches (
  id                 INTEGER PRIMARY KEY AUTOINCREMENT,
  source             TEXT NOT NULL,
  start_utc_ns       INTEGER NOT NULL,
  start_monotonic_ns INTEGER NOT NULL,
  boot_id            TEXT NOT NULL,
  clock_quality      TEXT NOT NULL
) STRICT;
CREATE INDEX watches_by_source ON watches (source, id);

-- How far a watch got that goes on, and how it was then: the only rows that are ever rewritten.
CREATE TABLE heartbeats (
  watch_id         INTEGER PRIMARY KEY REFERENCES watches (id),
  end_monotonic_ns INTEGER NOT NULL,
  n_samples        INTEGER NOT NULL,                     -- heard, 16 kHz
  n_invalid        INTEGER NOT NULL,                     -- of these, what was no number
  state            TEXT NOT NULL,
  since_monotonic_ns INTEGER NOT NULL                    -- it was in this state
) STRICT;

-- How far a watch got that is over.
CREATE TABLE watch_ends (
  id               INTEGER PRIMARY KEY AUTOINCREMENT,
  watch_id         INTEGER NOT NULL UNIQUE REFERENCES watches (id),
  end_monotonic_ns INTEGER NOT NULL,
  n_samples        INTEGER NOT NULL,
  n_invalid        INTEGER NOT NULL,
  state            TEXT NOT NULL,
  since_monotonic_ns INTEGER NOT NULL,
  reason           TEXT NOT NULL
) STRICT;

-- What the wall clock said at a moment of a boot: at its first watch, and at each later change.
CREATE TABLE clock_anchors (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  boot_id       TEXT NOT NULL,
  monotonic_ns  INTEGER NOT NULL,
  utc_ns        INTEGER NOT NULL,
  suspended_ns  INTEGER NOT NULL,                        -- slept since boot: not in monotonic_ns
  clock_quality TEXT NOT NULL
) STRICT;
CREATE INDEX clock_anchors_by_boot ON clock_anchors (boot_id, id);

CREATE TABLE alarms (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  code          TEXT NOT NULL,
  source        TEXT NOT NULL,                           -- empty: of the whole appliance
  utc_ns        INTEGER NOT NULL,
  monotonic_ns  INTEGER NOT NULL,
  boot_id       TEXT NOT NULL,
  clock_quality TEXT NOT NULL,
  detail        TEXT NOT NULL
) STRICT;
CREATE TABLE alarm_ends (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  alarm_id      INTEGER NOT NULL UNIQUE REFERENCES alarms (id),
  utc_ns        INTEGER NOT NULL,
  monotonic_ns  INTEGER NOT NULL,
  boot_id       TEXT NOT NULL,
  clock_quality TEXT NOT NULL,
  detail        TEXT NOT NULL
) STRICT;

-- A day of the ledger is read by boot and time since boot.
CREATE INDEX utterances_by_boot ON utterances (boot_id, source, start_monotonic_ns);
CREATE INDEX gaps_by_boot ON gaps (boot_id, source, start_monotonic_ns);
"""

_REMOVAL = """
-- The event that says why the sound, or the words, are gone.
ALTER TABLE utterances ADD COLUMN sound_removed INTEGER;
ALTER TABLE utterances ADD COLUMN text_removed INTEGER;

CREATE TABLE held (
  utterance_id INTEGER PRIMARY KEY REFERENCES utterances (id)
) STRICT;

CREATE TABLE unlinking (
  audio_path TEXT PRIMARY KEY                            -- a file that is to go
) STRICT;

-- What is deleted leaves no traces in the index.
INSERT INTO words (words, rank) VALUES ('secure-delete', 1);
"""

_RETENTION = """
-- How long this log has run, by clocks that cannot jump; and who had spoken when a day was full.
CREATE TABLE age_clock (
  id            INTEGER PRIMARY KEY CHECK (id = 1),
  age_ns        INTEGER NOT NULL,
  utc_ns        INTEGER NOT NULL,
  monotonic_ns  INTEGER NOT NULL,
  boot_id       TEXT NOT NULL,
  clock_quality TEXT NOT NULL
) STRICT;
CREATE TABLE age_marks (
  day               INTEGER PRIMARY KEY,
  last_utterance_id INTEGER NOT NULL
) STRICT;
"""

_PASSES = """
-- Versions tell what they were made from: NULL is the sound.
ALTER TABLE transcripts ADD COLUMN parent_version INTEGER;
ALTER TABLE transcripts ADD COLUMN request_sha256 TEXT;    -- with bundle_sha256: which pass
ALTER TABLE transcripts ADD COLUMN is_shown INTEGER NOT NULL DEFAULT 1;

-- What failed in a second pass, which the first one's failures have nothing to do with.
CREATE TABLE pass_failures (
  utterance_id   INTEGER NOT NULL REFERENCES utterances (id),
  bundle_sha256  TEXT NOT NULL,
  request_sha256 TEXT NOT NULL,
  tries          INTEGER NOT NULL,
  kills          INTEGER NOT NULL,
  error          TEXT NOT NULL,
  last_utc_ns    INTEGER NOT NULL,
  PRIMARY KEY (utterance_id, bundle_sha256, request_sha256)
) STRICT, WITHOUT ROWID;
"""

_WAITING = """
-- Each source's first utterance that waits is found without reading the others.
CREATE INDEX utterances_by_source ON utterances (source, id);
"""

MIGRATIONS: tuple[Migration, ...] = (
    _FIRST,
    _begin_chain,
    _WORDS_AND_CERTAINTY,
    _LEDGER,
    _REMOVAL,
    _RETENTION,
    _PASSES,
    _WAITING,
)
"""Step n leads from version n - 1 to n."""
