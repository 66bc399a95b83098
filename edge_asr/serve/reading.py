"""The log, read: transcripts, utterances with their sound, the ledger, alarms, exports."""

from __future__ import annotations

import asyncio
import datetime as dt
from itertools import islice
from typing import TYPE_CHECKING, Any

from starlette.responses import FileResponse, JSONResponse, StreamingResponse

from edge_asr.accounts import account_fields, alarm_fields, span_fields
from edge_asr.clock import now
from edge_asr.entries import EXPORTS, fields, utterance_fields
from edge_asr.formats import rfc3339
from edge_asr.serve.asked import FILTERS, MAX_PAGE, Asked, midnight_ns, utterance
from edge_asr.serve.problems import GONE, NOT_FOUND, ProblemError
from edge_asr.serve.site import site_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from starlette.requests import Request
    from starlette.responses import Response

    from edge_asr.store import Store
    from edge_asr.store.log import Entry

_LINES_AT_ONCE = 200
_BIGGEST_ID = 10**18 - 1
_LATEST_NS = (1 << 62) - 1
_MEDIA = {
    "jsonl": "application/x-ndjson",
    "csv": "text/csv; charset=utf-8",
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
}


async def transcripts(request: Request) -> Response:
    """Answer with a page of transcripts, newest first; with ``q``, of those that have its words."""
    asked = Asked(request, ("q", "limit", "before", *FILTERS))
    limit = asked.number("limit", 1, MAX_PAGE, 50)
    wanted = asked.filter(asked.optional_number("before", 1, _BIGGEST_ID))
    query = asked.text("q")

    def read(store: Store) -> list[Entry]:
        if query is None:
            return store.log.last(limit, wanted)[::-1]
        return store.log.search(query, wanted, limit=limit)

    found = await site_of(request).readers.ask(read)
    older = found[-1].utterance.utterance_id if len(found) == limit else None
    return JSONResponse({"transcripts": [fields(entry) for entry in found], "before": older})


async def one_utterance(request: Request) -> Response:
    """Answer with all about one utterance: its versions, the gaps around it, what failed."""
    Asked(request, ())
    name = request.path_params["utterance"]
    return JSONResponse(
        await site_of(request).readers.ask(
            lambda store: utterance_fields(store, utterance(store, name))
        )
    )


async def audio(request: Request) -> Response:
    """Answer with an utterance's sound: FLAC, 16 kHz mono; parts of it where a player asks so."""
    Asked(request, ())
    name = request.path_params["utterance"]
    site = site_of(request)
    found = await site.readers.ask(lambda store: utterance(store, name))
    path = site.state_dir / found.audio_path
    if not await asyncio.to_thread(path.is_file):
        raise ProblemError(GONE, f"the sound of utterance {found.utterance_id} was removed")
    return FileResponse(
        path, media_type="audio/flac", filename=path.name, content_disposition_type="inline"
    )


async def ledger(request: Request) -> Response:
    """Answer with what every second of a day was, for each source."""
    asked = Asked(request, ("date", "source"))
    day, only = asked.day("date"), asked.text("source")
    start_ns, end_ns = midnight_ns(day), midnight_ns(day + dt.timedelta(days=1))

    def read(store: Store) -> list[dict[str, Any]]:
        moment = now()
        until_ns = max(start_ns, min(end_ns, moment.utc_ns))
        sources = store.ledger.sources()
        if only is not None and only not in sources:
            raise ProblemError(NOT_FOUND, f"nobody ever listened to '{only}'", "source")
        accounts = (
            store.ledger.account(source, start_ns, until_ns, moment)
            for source in (sources if only is None else [only])
        )
        return [
            {**account_fields(account, day), "spans": [span_fields(s) for s in account.spans]}
            for account in accounts
            if account.spans or only is not None
        ]

    accounts = await site_of(request).readers.ask(read)
    whole = {"date": day.isoformat(), "start_utc": rfc3339(start_ns), "end_utc": rfc3339(end_ns)}
    return JSONResponse({**whole, "sources": accounts})


async def alarms(request: Request) -> Response:
    """Answer with the alarms that are active, or with all of a stretch of time."""
    asked = Asked(request, ("all", "since", "until", "source"))
    since, until, source = asked.moment("since"), asked.moment("until"), asked.text("source")
    everything = asked.flag("all") or since is not None or until is not None
    until_ns = _LATEST_NS if until is None else until
    found = await site_of(request).readers.ask(
        lambda store: (
            store.alarms.between(since or 0, until_ns, source)
            if everything
            else store.alarms.active(source)
        )
    )
    return JSONResponse({"alarms": [alarm_fields(alarm) for alarm in found]})


async def export(request: Request) -> Response:
    """Answer with the log, or what is selected of it, as a file."""
    asked = Asked(request, ("format", "q", "all_versions", *FILTERS))
    output = asked.choice("format", tuple(EXPORTS), "jsonl")
    wanted, query = asked.filter(), asked.text("q")
    all_versions = asked.flag("all_versions")

    def lines(store: Store) -> Iterator[str]:
        if query is not None:
            found = store.log.search(query, wanted, limit=_BIGGEST_ID)
            return EXPORTS[output](reversed(found))
        return EXPORTS[output](store.log.entries(wanted, all_versions=all_versions))

    name = f"edge-asr-{dt.datetime.now().astimezone():%Y%m%d-%H%M%S}.{output}"
    return StreamingResponse(
        _lines(request, lines),
        media_type=_MEDIA[output],
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _lines(request: Request, lines: Callable[[Store], Iterator[str]]) -> AsyncIterator[str]:
    """Yield lines in blocks; several exports take turns in one thread of their own."""
    readers = site_of(request).exports
    written: Iterator[str] | None = None

    def block(store: Store) -> list[str]:
        nonlocal written
        if written is None:
            written = lines(store)
        return list(islice(written, _LINES_AT_ONCE))

    while found := await readers.ask(block):
        yield "".join(f"{line}\n" for line in found)
