"""Accounts of the ledger and alarms as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_asr.formats import rfc3339

if TYPE_CHECKING:
    import datetime as dt

    from edge_asr.alarms import Alarm
    from edge_asr.store.ledger import Account
    from edge_asr.store.spans import Span


def account_fields(account: Account, date: dt.date) -> dict[str, Any]:
    """Return an account as JSON."""
    return {
        "source": account.source,
        "date": date.isoformat(),
        "start_utc": rfc3339(account.start_utc_ns),
        "end_utc": rfc3339(account.end_utc_ns),
        "duration_s": _seconds(account.end_utc_ns - account.start_utc_ns),
        "totals_s": {kind.value: _seconds(ns) for kind, ns in account.totals_ns.items()},
        "outside_s": _seconds(account.outside_ns),
        "gaps": [span_fields(span) for span in account.gaps],
    }


def span_fields(span: Span) -> dict[str, Any]:
    """Return a stretch of one kind as JSON."""
    return {
        "kind": span.kind.value,
        "start_utc": rfc3339(span.start_ns),
        "end_utc": rfc3339(span.end_ns),
        "duration_s": _seconds(span.duration_ns),
        "detail": span.detail,
        "certain": span.certain,
    }


def alarm_fields(alarm: Alarm) -> dict[str, Any]:
    """Return an alarm as JSON."""
    cleared = alarm.cleared
    return {
        "alarm_id": alarm.alarm_id,
        "code": alarm.code.value,
        "source": alarm.source,
        "raised_utc": rfc3339(alarm.raised.utc_ns),
        "detail": alarm.detail,
        "cleared_utc": None if cleared is None else rfc3339(cleared.utc_ns),
        "cleared_detail": alarm.cleared_detail,
    }


def _seconds(duration_ns: int) -> float:
    return round(duration_ns / 1e9, 3)
