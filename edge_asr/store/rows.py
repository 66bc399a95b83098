"""Rows of the database <-> records."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from edge_asr.records import (
    ClockQuality,
    EndReason,
    Gap,
    GapKind,
    Instant,
    Recognition,
    Task,
    Transcript,
    Utterance,
    Word,
)
from edge_asr.store.audio_files import check_audio_path
from edge_asr.store.sqlite_errors import from_row

if TYPE_CHECKING:
    from edge_asr.store.database import Row

UTTERANCE_COLUMNS = (
    "u.id, u.uid, u.source, u.start_utc_ns, u.start_monotonic_ns, u.boot_id, u.clock_quality, "
    "u.n_samples, u.end_reason, u.audio_path, u.audio_sha256"
)
N_UTTERANCE_COLUMNS = 11
TRANSCRIPT_COLUMNS = (
    "t.utterance_id, t.version, t.text, t.language, t.language_probability, t.task, t.decode_s, "
    "t.avg_logprob, t.flags, t.words, t.ctc_max_entropy, t.bundle, t.bundle_sha256, "
    "t.created_utc_ns, t.parent_version, t.request_sha256, t.is_shown"
)
N_TRANSCRIPT_COLUMNS = 17
GAP_COLUMNS = "kind, start_utc_ns, start_monotonic_ns, boot_id, clock_quality, duration_s, detail"


@from_row
def utterance_from(row: Row) -> Utterance:
    """Return the utterance of a row of ``UTTERANCE_COLUMNS``."""
    utterance_id, uid, source, utc_ns, monotonic_ns, boot_id, quality, *rest = row
    n_samples, end_reason, audio_path, audio_sha256 = rest
    check_audio_path(uid, audio_path)
    start = Instant(utc_ns, monotonic_ns, boot_id, ClockQuality(quality))
    return Utterance(
        utterance_id, uid, source, start, n_samples, EndReason(end_reason), audio_path, audio_sha256
    )


@from_row
def transcript_from(row: Row) -> Transcript:
    """Return the transcript of a row of ``TRANSCRIPT_COLUMNS``."""
    utterance_id, version, text, language, probability, task, decode_s, logprob, *rest = row
    flags, words, ctc_max_entropy, *made_by, parent_version, request_sha256, is_shown = rest
    recognition = Recognition(
        text,
        language,
        probability,
        Task(task),
        decode_s,
        logprob,
        flags=tuple(json.loads(flags)),
        words=tuple(Word(*word) for word in json.loads(words)),
        ctc_max_entropy=ctc_max_entropy,
    )
    bundle, bundle_sha256, created_utc_ns = made_by
    return Transcript(
        utterance_id,
        version,
        recognition,
        bundle,
        bundle_sha256,
        created_utc_ns,
        parent_version=parent_version,
        request_sha256=request_sha256,
        is_shown=bool(is_shown),
    )


@from_row
def gap_from(row: Row) -> Gap:
    """Return the gap of a row of ``GAP_COLUMNS``."""
    kind, utc_ns, monotonic_ns, boot_id, quality, duration_s, detail = row
    start = Instant(utc_ns, monotonic_ns, boot_id, ClockQuality(quality))
    return Gap(GapKind(kind), start, duration_s, detail)
