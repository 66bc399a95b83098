"""Entries of the log as JSON, CSV, subtitles, and lines for a pipe."""

from __future__ import annotations

import csv
import io
import json
from itertools import chain
from typing import TYPE_CHECKING, Any

from edge_asr.formats import Segment, as_srt, one_line, real_time_factor, rfc3339, words_as_json
from edge_asr.records import HUMAN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from edge_asr.records import Gap, Transcript, Utterance
    from edge_asr.store import Store
    from edge_asr.store.gaps import SourceGap
    from edge_asr.store.log import Entry

_NS_PER_S = 1_000_000_000
_GAP_MARGIN_NS = 60 * _NS_PER_S


def fields(entry: Entry) -> dict[str, Any]:
    """Return an entry as the export has it."""
    utterance, transcript = entry.utterance, entry.transcript
    recognition = transcript.recognition
    corrected_ns = entry.corrected_start_utc_ns
    return {
        "utterance_id": utterance.utterance_id,
        "version": transcript.version,
        "uid": utterance.uid,
        "text": recognition.text,
        "language": recognition.language,
        "language_probability": recognition.language_probability,
        "source": utterance.source,
        "start_utc": rfc3339(utterance.start.utc_ns),
        "start_utc_corrected": None if corrected_ns is None else rfc3339(corrected_ns),
        "end_utc": rfc3339(end_utc_ns(utterance)),
        "duration_s": round(utterance.duration_s, 3),
        "bundle": transcript.bundle,
        "bundle_sha256": transcript.bundle_sha256,
        "request_sha256": transcript.request_sha256,
        "parent_version": transcript.parent_version,
        "is_shown": transcript.is_shown,
        "decode_s": round(recognition.decode_s, 3),
        "rtf": round(real_time_factor(recognition.decode_s, utterance.duration_s), 4),
        "task": recognition.task.value,
        "avg_logprob": recognition.avg_logprob,
        "ctc_max_entropy": recognition.ctc_max_entropy,
        "flags": list(recognition.flags),
        "words": words_as_json(recognition.words),
        "end_reason": utterance.end_reason.value,
        "clock_quality": utterance.start.clock_quality.value,
        "audio_path": utterance.audio_path,
        "audio_sha256": utterance.audio_sha256,
    }


def version_fields(transcript: Transcript) -> dict[str, Any]:
    """Return a version of a text, without its utterance, as JSON."""
    recognition = transcript.recognition
    return {
        "version": transcript.version,
        "text": recognition.text,
        "language": recognition.language,
        "language_probability": recognition.language_probability,
        "task": recognition.task.value,
        "bundle": transcript.bundle,
        "bundle_sha256": transcript.bundle_sha256,
        "provenance": provenance(transcript),
        "request_sha256": transcript.request_sha256,
        "parent_version": transcript.parent_version,
        "is_shown": transcript.is_shown,
        "created_utc": rfc3339(transcript.created_utc_ns),
        "decode_s": round(recognition.decode_s, 3),
        "avg_logprob": recognition.avg_logprob,
        "ctc_max_entropy": recognition.ctc_max_entropy,
        "flags": list(recognition.flags),
        "words": words_as_json(recognition.words),
    }


def utterance_fields(store: Store, found: Utterance) -> dict[str, Any]:
    """Return all about an utterance as JSON."""
    corrected_ns = store.corrected_utc_ns(found.start)
    standing = store.transcripts.latest(found.utterance_id)
    failure = store.transcripts.failures.of(found.utterance_id)
    return {
        "utterance_id": found.utterance_id,
        "uid": found.uid,
        "source": found.source,
        "start_utc": rfc3339(found.start.utc_ns),
        "start_utc_corrected": None if corrected_ns is None else rfc3339(corrected_ns),
        "end_utc": rfc3339(end_utc_ns(found)),
        "duration_s": round(found.duration_s, 3),
        "end_reason": found.end_reason.value,
        "clock_quality": found.start.clock_quality.value,
        "audio_sha256": found.audio_sha256,
        "has_sound": (store.state_dir / found.audio_path).is_file(),
        "standing_version": None if standing is None else standing.version,
        "versions": [
            version_fields(version) for version in store.transcripts.versions(found.utterance_id)
        ],
        "redacted": store.integrity.redacted_because(found.utterance_id),
        "failure": None if failure is None else failure.error,
        "gaps": [gap_fields(each.gap) for each in gaps_around(store, found)],
    }


def gaps_around(store: Store, utterance: Utterance) -> list[SourceGap]:
    """Return the gaps of an utterance's source within a minute of it."""
    since_ns = utterance.start.utc_ns - _GAP_MARGIN_NS
    return list(
        store.gaps.between(since_ns, end_utc_ns(utterance) + _GAP_MARGIN_NS, utterance.source)
    )


def gap_fields(gap: Gap) -> dict[str, Any]:
    """Return a gap, without its source, as JSON."""
    return {
        "kind": gap.kind.value,
        "start_utc": rfc3339(gap.start.utc_ns),
        "duration_s": round(gap.duration_s, 3),
        "detail": gap.detail,
    }


def provenance(transcript: Transcript) -> str:
    """Return who wrote a version: ``human`` or ``model``."""
    return HUMAN if transcript.bundle == HUMAN else "model"


def end_utc_ns(utterance: Utterance) -> int:
    """Return when an utterance ended."""
    return utterance.start.utc_ns + round(utterance.duration_s * _NS_PER_S)


def jsonl(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield one JSON object a line."""
    for entry in entries:
        yield json.dumps(fields(entry), ensure_ascii=False)


def csv_lines(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield comma-separated values with a header, also when there are no entries."""
    yield ",".join(COLUMNS)
    for entry in entries:
        buffer = io.StringIO()
        row = fields(entry)
        row["flags"] = " ".join(row["flags"])
        row["words"] = json.dumps(row["words"], ensure_ascii=False)
        csv.writer(buffer, lineterminator="").writerow(row[column] for column in COLUMNS)
        yield buffer.getvalue()


def txt(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield the text alone, one utterance a line."""
    for entry in entries:
        yield one_line(entry.transcript.recognition.text)


def srt(entries: Iterable[Entry]) -> Iterator[str]:
    """Yield subtitles whose time begins with the first entry."""
    remaining = iter(entries)
    first = next(remaining, None)
    if first is None:
        return
    segments = (_segment(entry, first.utterance) for entry in chain([first], remaining))
    yield as_srt(segments).rstrip("\n")


def _segment(entry: Entry, first: Utterance) -> Segment:
    start, origin = entry.utterance.start, first.start
    if start.boot_id == origin.boot_id:  # then no jump of the clock moves a subtitle
        offset_ns = start.monotonic_ns - origin.monotonic_ns
    else:
        offset_ns = start.utc_ns - origin.utc_ns
    start_s = max(0.0, offset_ns / _NS_PER_S)
    return Segment(start_s, start_s + entry.utterance.duration_s, entry.transcript.recognition.text)


def plain(entry: Entry) -> str:
    """Return one line for a pipe: id, start, source, language, text, bundle; tabs between."""
    utterance, recognition = entry.utterance, entry.transcript.recognition
    cells = (
        str(utterance.utterance_id),
        rfc3339(utterance.start.utc_ns),
        one_line(utterance.source),
        recognition.language,
        one_line(recognition.text),
        entry.transcript.bundle,
    )
    return "\t".join(cells)


COLUMNS = (
    "utterance_id",
    "version",
    "uid",
    "text",
    "language",
    "language_probability",
    "source",
    "start_utc",
    "start_utc_corrected",
    "end_utc",
    "duration_s",
    "bundle",
    "bundle_sha256",
    "request_sha256",
    "parent_version",
    "is_shown",
    "decode_s",
    "rtf",
    "task",
    "avg_logprob",
    "ctc_max_entropy",
    "flags",
    "words",
    "end_reason",
    "clock_quality",
    "audio_path",
    "audio_sha256",
)
"""The columns of CSV, which are the keys of JSON."""

EXPORTS: dict[str, Callable[[Iterable[Entry]], Iterator[str]]] = {
    "jsonl": jsonl,
    "csv": csv_lines,
    "txt": txt,
    "srt": srt,
}
"""Name of a format -> what writes entries in it."""
