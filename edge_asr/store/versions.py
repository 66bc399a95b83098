"""Versions of text as rows: which one stands for its utterance, and how one is added."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge_asr.records import HUMAN
from edge_asr.store.chain import append

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edge_asr.records import Transcript, Word
    from edge_asr.store.database import Database


def rank_sql(table: str) -> str:
    """Return an SQL expression: the greater it is, the rather a version stands for its utterance.

    What a person wrote stands above what any model writes, also above what one writes later.
    """
    return f"({table}.bundle = '{HUMAN}', {table}.version)"


def standing(versions: Sequence[Transcript]) -> Transcript | None:
    """Return which of an utterance's versions stands for it, or None. The rule of ``rank_sql``."""
    shown = [each for each in versions if each.is_shown]
    return max(shown, key=lambda each: (each.bundle == HUMAN, each.version), default=None)


def last_version(database: Database, utterance_id: int) -> int:
    """Return the number of an utterance's last version; 0 if it has none."""
    row = database.row(
        "SELECT coalesce(max(version), 0) FROM transcripts WHERE utterance_id = ?",
        (utterance_id,),
    )
    return int(row[0]) if row else 0


def is_redacted(database: Database, utterance_id: int) -> bool:
    """Say whether somebody had an utterance's words removed."""
    row = database.row("SELECT text_removed FROM utterances WHERE id = ?", (utterance_id,))
    return row is not None and row[0] is not None


def insert(database: Database, transcript: Transcript) -> None:
    """Add a version, within a transaction.

    Raises:
        StoreError: the disk refuses, or there is no such utterance.
    """
    recognition = transcript.recognition
    rows = database.rows(
        "INSERT INTO transcripts (utterance_id, version, text, language, language_probability,"
        " task, decode_s, avg_logprob, flags, words, ctc_max_entropy, bundle, bundle_sha256,"
        " created_utc_ns, parent_version, request_sha256, is_shown)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            transcript.utterance_id,
            transcript.version,
            recognition.text,
            recognition.language,
            recognition.language_probability,
            recognition.task.value,
            recognition.decode_s,
            recognition.avg_logprob,
            json.dumps(recognition.flags),
            json.dumps([_columns(word) for word in recognition.words]),
            recognition.ctc_max_entropy,
            transcript.bundle,
            transcript.bundle_sha256,
            transcript.created_utc_ns,
            transcript.parent_version,
            transcript.request_sha256,
            transcript.is_shown,
        ),
    )
    append(database, "transcripts", rows[0][0])


def _columns(word: Word) -> tuple[str | float, ...]:
    """Return a word as a row has it; its probability where it has one."""
    times = (word.text, word.start_s, word.end_s)
    return times if word.probability is None else (*times, word.probability)
