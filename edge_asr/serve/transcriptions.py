"""Files in, text out: the part of OpenAI's API that is about hearing.

A form comes (:mod:`uploads`), is understood (:mod:`transcription_form`), waits for its turn and is
transcribed (:mod:`transcribing`), and is answered (:mod:`transcription_answers`). Whoever leaves
before that gives up the turn.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, TypeVar

from starlette.responses import Response, StreamingResponse

from edge_asr.formats import FileTranscript, Segment
from edge_asr.records import Task
from edge_asr.serve import transcription_answers as answers
from edge_asr.serve.asked import Asked
from edge_asr.serve.problems import NOT_FOUND, ProblemError, error_fields
from edge_asr.serve.site import site_of
from edge_asr.serve.transcription_form import wanted

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
    from typing import Any

    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from edge_asr.serve.site import Site
    from edge_asr.serve.transcription_form import Wanted
    from edge_asr.serve.uploads import Form

    Told = AsyncGenerator[Segment | FileTranscript, None]

T = TypeVar("T")

SILENCE_S = 15.0
"""After so long without text comes a comment, which keeps connections open."""
IGNORED = "X-Edge-ASR-Ignored"
"""The header that names fields of the form that the model has no use for."""
_CLIENT_LEFT = 499


async def transcriptions(request: Request) -> Response:
    """Answer with what is said in a file."""
    return await _answer(request, Task.TRANSCRIBE)


async def translations(request: Request) -> Response:
    """Answer with what is said in a file, in another language."""
    return await _answer(request, Task.TRANSLATE)


async def _answer(request: Request, task: Task) -> Response:
    Asked(request, ())
    site = site_of(request)
    if not site.config.serve.transcriptions:
        raise ProblemError(NOT_FOUND, "files are not transcribed here (serve.transcriptions)")
    site.transcribing.check_room()
    async with AsyncExitStack() as stack:
        form = await stack.enter_async_context(site.uploads.received(request))
        what = await asyncio.to_thread(wanted, form, task, site.models)
        told = _begun(site, form, what, stack)
        headers = {IGNORED: ", ".join(what.ignored)} if what.ignored else None
        try:
            if what.stream:
                # What is wrong with the file is known with its first segment: a status tells it.
                first = await _unless_gone(request, _next(told))
                return _Stream(_streamed(first, told), headers, stack.pop_all())
            result = await _unless_gone(request, _last(told))
        except _ClientLeftError:
            return Response(status_code=_CLIENT_LEFT)
        body = answers.written(result, what.response_format, task, what.granularities)
        return Response(body, 200, headers, answers.MEDIA[what.response_format])
    raise AssertionError  # pragma: no cover (the stack swallows nothing)


def _begun(site: Site, form: Form, what: Wanted, stack: AsyncExitStack) -> Told:
    order = {
        "path": str(form.path),
        "name": form.file_name,
        "bundle": str(what.model.directory),
        "request": what.request,
        "numerals": what.numerals,
    }
    told = site.transcribing.follow(order, form.file_name)
    stack.push_async_callback(told.aclose)
    return told


async def _last(told: Told) -> FileTranscript:
    async for item in told:
        if isinstance(item, FileTranscript):
            return item
    raise AssertionError  # pragma: no cover (the last one is the whole)


class _Stream(StreamingResponse):
    """A stream of events; what it needs is let go when it ends, whichever way."""

    def __init__(
        self, events: AsyncIterator[str], headers: dict[str, str] | None, stack: AsyncExitStack
    ) -> None:
        more = {"X-Accel-Buffering": "no", **(headers or {})}
        super().__init__(events, headers=more, media_type="text/event-stream")
        self._stack = stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Tell what is said as it is recognized."""
        async with self._stack:
            await super().__call__(scope, receive, send)


async def _streamed(first: Segment | FileTranscript, told: Told) -> AsyncIterator[str]:
    """Yield an event for each segment, and one at the end."""
    is_first = True
    item: Segment | FileTranscript | None = first
    coming: asyncio.Task[Any] | None = None
    try:
        while not isinstance(item, FileTranscript):
            if item is not None and (text := answers.delta(item, is_first=is_first)):
                is_first = False
                yield text
            coming = coming or asyncio.ensure_future(_next(told))
            arrived, _ = await asyncio.wait({coming}, timeout=SILENCE_S)
            item = coming.result() if arrived else None
            if arrived:
                coming = None
            else:
                yield ": nothing new\n\n"
        yield answers.done(item)
    except ProblemError as problem:
        yield answers.event(error=error_fields(problem.status, str(problem), problem.parameter))
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait({coming})


async def _next(told: Told) -> Segment | FileTranscript:
    return await anext(told)


class _ClientLeftError(Exception):
    """Nobody waits for the answer any more."""


async def _unless_gone(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """Return what ``work`` returns.

    Raises:
        _ClientLeftError: the client left before; the work was broken off.
    """
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({working, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise _ClientLeftError
        return working.result()
    finally:
        for task in (working, leaving):
            task.cancel()
        await asyncio.wait({working, leaving})


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
