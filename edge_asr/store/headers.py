"""The first line of an open utterance: its name, its source, when it began."""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from edge_asr.errors import StoreError
from edge_asr.records import SAMPLE_RATE, ClockQuality, Instant

if TYPE_CHECKING:
    from pathlib import Path

UID = re.compile(r"\d{8}T\d{9}-[0-9a-f]{6}", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Header:
    """The first line of an open utterance."""

    uid: str
    source: str
    start: Instant


def new_uid(utc_ns: int) -> str:
    """Return a new name for an utterance that began then: sorts by time, and is unique."""
    return (
        f"{utc_time(utc_ns):%Y%m%dT%H%M%S}{utc_ns // 1_000_000 % 1000:03d}-{secrets.token_hex(3)}"
    )


def utc_time(utc_ns: int) -> datetime:
    """Return the instant to the microsecond."""
    return _EPOCH + timedelta(microseconds=utc_ns // 1000)


def header_line(header: Header) -> bytes:
    """Return the first line of an open utterance."""
    start = header.start
    fields = {
        "uid": header.uid,
        "source": header.source,
        "start_utc_ns": start.utc_ns,
        "start_monotonic_ns": start.monotonic_ns,
        "boot_id": start.boot_id,
        "clock_quality": start.clock_quality,
        "sample_rate": SAMPLE_RATE,
    }
    return json.dumps(fields).encode("ascii") + b"\n"


def parse_header(path: Path, line: bytes) -> Header:
    """Return what the first line of the open utterance ``path`` says.

    Raises:
        StoreError: it is damaged, or of another one.
    """
    try:
        fields = json.loads(line)
        start = Instant(
            int(fields["start_utc_ns"]),
            int(fields["start_monotonic_ns"]),
            str(fields["boot_id"]),
            ClockQuality(fields["clock_quality"]),
        )
        header = Header(str(fields["uid"]), str(fields["source"]), start)
        sample_rate = fields["sample_rate"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{path}: the first line is damaged") from error
    if not line.endswith(b"\n") or sample_rate != SAMPLE_RATE:
        raise StoreError(f"{path}: the first line is damaged")
    if header.uid != path.stem or not UID.fullmatch(header.uid):
        raise StoreError(f"{path}: the first line is of '{header.uid}'")
    return header
