"""The feed of events: ``text/event-stream``, as browsers and curl read it.

What stands in the log comes with an id; a client that was cut off names the last one it got and
misses nothing. Levels, text so far and the like pass by without one.
"""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

from starlette.responses import Response, StreamingResponse

from edge_asr.accounts import alarm_fields
from edge_asr.entries import fields, provenance
from edge_asr.errors import StoreError
from edge_asr.formats import rfc3339
from edge_asr.records import Utterance
from edge_asr.serve.asked import Asked
from edge_asr.serve.problems import BAD_REQUEST, ProblemError
from edge_asr.serve.site import site_of
from edge_asr.store.gaps import SourceGap
from edge_asr.store.log import Entry
from edge_asr.store.news import AlarmNews, Position

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from edge_asr.serve.live import Look
    from edge_asr.serve.site import Site
    from edge_asr.store import Store
    from edge_asr.store.news import Item

STATE_S = 2.0
"""How often the state of the appliance is told, if it has changed."""
SILENCE_S = 15.0
"""After so long without an event comes a comment, which keeps connections open."""


async def events(request: Request) -> Response:
    """Answer with the events from now on, or from the one that ``Last-Event-ID`` names."""
    asked = Asked(request, ("last_event_id",))
    given = request.headers.get("last-event-id") or asked.text("last_event_id")
    position = Position.parsed(given) if given else None
    if given and position is None:
        raise ProblemError(BAD_REQUEST, "Last-Event-ID is no id of an event", "last_event_id")
    site = site_of(request)
    if position is None:
        position = await site.readers.ask(lambda store: store.news.position())
    return _EventStream(_Telling(site, position))


class _EventStream(Response):
    """An answer that goes on until the client or the server leaves."""

    def __init__(self, telling: _Telling) -> None:
        self._telling = telling
        super().__init__()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look on for as long as the client is there."""
        async with self._telling.site.live.looking() as look:
            stream = StreamingResponse(
                self._telling.told(look),
                media_type="text/event-stream",
                headers={"X-Accel-Buffering": "no"},
            )
            await stream(scope, receive, send)


class _Telling:
    """What one client is told."""

    def __init__(self, site: Site, position: Position) -> None:
        self.site = site
        self._position = position
        self._state: dict[str, Any] | None = None
        self._told_at_s = time.monotonic()

    async def told(self, look: Look) -> AsyncIterator[str]:
        """Yield events as they happen."""
        yield "retry: 2000\n\n"
        while not self.site.live.is_over:
            passed, changed = await look.wait(STATE_S)
            written = [_written(event["event"], event) for event in passed]
            try:
                written += await self._news() if changed else []
                written += await self._new_state()
            except StoreError as error:
                written.append(_written("problem", {"event": "problem", "message": str(error)}))
            if not written and time.monotonic() - self._told_at_s > SILENCE_S:
                written = [": nothing new\n\n"]
            if written:
                self._told_at_s = time.monotonic()
                yield "".join(written)

    async def _news(self) -> list[str]:
        """Return what the log has beyond the position, which moves on."""
        written: list[str] = []
        while True:
            position = self._position
            news, self._position = await self.site.readers.ask(partial(_news_since, position))
            # All share the last position: who is cut off among them gets some of them again.
            at = [position] * (len(news) - 1) + [self._position]
            written += [
                _written(*_as_event(item), reached)
                for item, reached in zip(news, at, strict=bool(news))
            ]
            if self._position == position:
                return written

    async def _new_state(self) -> list[str]:
        state = await self.site.conditions.now()
        comparable = {**state, "time_utc": None}
        if comparable == self._state:
            return []
        self._state = comparable
        return [_written("state", {"event": "state", **state})]


def _news_since(position: Position, store: Store) -> tuple[list[Item | Utterance], Position]:
    return store.news.since(position)


def _as_event(item: Item | Utterance) -> tuple[str, dict[str, Any]]:
    """Return the kind of an item of the log, and what is told of it."""
    match item:
        case Entry():
            made_by = {"provenance": provenance(item.transcript)}
            data: dict[str, Any] = {"event": "transcript", **fields(item), **made_by}
        case SourceGap(source, gap):
            data = {
                "event": "gap",
                "source": source,
                "kind": gap.kind.value,
                "start_utc": rfc3339(gap.start.utc_ns),
                "duration_s": round(gap.duration_s, 3),
                "detail": gap.detail,
            }
        case AlarmNews(alarm, active):
            word = "raised" if active else "cleared"
            data = {"event": "alarm", "state": word, **alarm_fields(alarm)}
        case Utterance():
            data = {
                "event": "utterance",
                "utterance_id": item.utterance_id,
                "uid": item.uid,
                "source": item.source,
                "start_utc": rfc3339(item.start.utc_ns),
                "duration_s": round(item.duration_s, 3),
                "end_reason": item.end_reason.value,
            }
    return data["event"], data


def _written(kind: str, data: dict[str, Any], position: Position | None = None) -> str:
    identity = "" if position is None else f"id: {position}\n"
    return f"{identity}event: {kind}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
