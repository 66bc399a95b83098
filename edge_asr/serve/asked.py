"""What a query asks for: each parameter by its name, checked; unknown ones are refused."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import TYPE_CHECKING

from edge_asr.serve.problems import BAD_REQUEST, NOT_FOUND, ProblemError
from edge_asr.store.log import Filter

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.requests import Request

    from edge_asr.records import Utterance
    from edge_asr.store import Store

FILTERS = ("since", "until", "source", "language", "max_confidence", "from_sound", "ids")
MAX_PAGE = 500
_MAX_IDS = 2_000
_MAX_TEXT = 1_000
_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
_UID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)
_NS_PER_S = 1_000_000_000
_CENTURIES = dt.datetime(1800, 1, 1), dt.datetime(2200, 1, 1)  # noqa: DTZ001 (in any zone)
"""Nanoseconds since 1970 have 64 bits, which reach from 1678 to 2262."""


class Asked:
    """The parameters of a request.

    Args:
        request: which.
        known: the names that it may have.

    Raises:
        ProblemError: it has others, or one twice.
    """

    def __init__(self, request: Request, known: Collection[str]) -> None:
        self._given = request.query_params
        for name in self._given:
            if name not in known:
                there = ", ".join(known) or "none"
                raise ProblemError(BAD_REQUEST, f"no parameter '{name}'; there: {there}", name)
            if len(self._given.getlist(name)) > 1:
                raise ProblemError(BAD_REQUEST, f"{name}: is given twice", name)

    def text(self, name: str) -> str | None:
        """Return a text, or None where it is not given or empty."""
        value = self._given.get(name) or None
        if value is not None and len(value) > _MAX_TEXT:
            raise ProblemError(BAD_REQUEST, f"{name}: is longer than {_MAX_TEXT} characters", name)
        return value

    def choice(self, name: str, choices: Collection[str], default: str) -> str:
        """Return one of several words."""
        value = self._given.get(name, default)
        if value not in choices:
            raise ProblemError(BAD_REQUEST, f"{name}: is one of {', '.join(choices)}", name)
        return value

    def flag(self, name: str) -> bool:
        """Return whether something is wanted."""
        return self.choice(name, ("true", "false"), "false") == "true"

    def number(self, name: str, low: int, high: int, default: int) -> int:
        """Return a whole number."""
        found = self.optional_number(name, low, high)
        return default if found is None else found

    def optional_number(self, name: str, low: int, high: int) -> int | None:
        """Return a whole number, or None where it is not given."""
        value = self._given.get(name)
        if value is None:
            return None
        if not _ID.fullmatch(value) or not low <= int(value) <= high:
            raise ProblemError(BAD_REQUEST, f"{name}: is a whole number from {low} to {high}", name)
        return int(value)

    def moment(self, name: str) -> int | None:
        """Return a moment in nanoseconds since 1970 UTC; what has no zone is this machine's.

        Centuries that no clock of this machine can have said become the nearest that one can.
        """
        value = self._given.get(name)
        if value is None:
            return None
        try:
            moment = dt.datetime.fromisoformat(value.replace(" ", "+"))
            earliest, latest = (each.replace(tzinfo=moment.tzinfo) for each in _CENTURIES)
            within = min(max(moment, earliest), latest).astimezone()
            return round(within.timestamp() * 1e6) * 1_000
        except (ValueError, OverflowError):
            example = "2026-11-24, 2026-11-24T09:30 or 2026-11-24T09:30:00Z"
            raise ProblemError(BAD_REQUEST, f"{name}: is a time such as {example}", name) from None

    def day(self, name: str) -> dt.date:
        """Return a day; today where it is not given."""
        value = self._given.get(name)
        if value is None:
            return dt.datetime.now().astimezone().date()
        try:
            day = dt.date.fromisoformat(value)
        except ValueError:
            raise ProblemError(BAD_REQUEST, f"{name}: is a day such as 2026-11-24", name) from None
        if not _CENTURIES[0].year <= day.year < _CENTURIES[1].year:
            raise ProblemError(NOT_FOUND, f"{name}: nothing is known of that century", name)
        return day

    def filter(self, before_id: int | None = None) -> Filter:
        """Return which entries are wanted, by the parameters of ``FILTERS``."""
        return Filter(
            since_utc_ns=self.moment("since"),
            until_utc_ns=self.moment("until"),
            source=self.text("source"),
            language=self.text("language"),
            from_sound=self.flag("from_sound"),
            before_id=before_id,
            max_avg_logprob=self._max_avg_logprob(),
            utterance_ids=self._ids(),
        )

    def _max_avg_logprob(self) -> float | None:
        value = self._given.get("max_confidence")
        if value is None:
            return None
        try:
            confidence = float(value)
        except ValueError:
            confidence = math.nan
        if not 0.0 < confidence <= 1.0:
            sentence = "max_confidence: is a number above 0, up to 1"
            raise ProblemError(BAD_REQUEST, sentence, "max_confidence")
        return math.log(confidence)

    def _ids(self) -> tuple[int, ...] | None:
        value = self._given.get("ids")
        if value is None:
            return None
        parts = value.split(",")
        if len(parts) > _MAX_IDS or not all(_ID.fullmatch(part) for part in parts):
            sentence = f"ids: are up to {_MAX_IDS} whole numbers with commas between them"
            raise ProblemError(BAD_REQUEST, sentence, "ids")
        return tuple(map(int, parts))


def utterance(store: Store, name: str) -> Utterance:
    """Return the utterance that a path names by its number or its uid.

    Raises:
        ProblemError: there is none.
    """
    is_name = _ID.fullmatch(name) or _UID.fullmatch(name)
    found = store.utterances.find(int(name) if _ID.fullmatch(name) else name) if is_name else None
    if found is None:
        raise ProblemError(NOT_FOUND, f"there is no utterance '{name[:64]}'")
    return found


def midnight_ns(day: dt.date) -> int:
    """Return when a day begins on this machine, nanoseconds since 1970 UTC."""
    midnight = dt.datetime(day.year, day.month, day.day).astimezone()
    return round(midnight.timestamp()) * _NS_PER_S
