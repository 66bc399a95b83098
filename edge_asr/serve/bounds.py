"""How much a client may send, and how slowly. An ASGI middleware.

What a request brings is counted as it comes, whatever its header promised. Who sends nearly
nothing for long gets an answer that says so. (Who does not take it: :mod:`connections`.)
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

from edge_asr.serve.problems import BAD_REQUEST, TOO_LARGE, TOO_SLOW, ProblemError, answer

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

GRACE_S = 15.0
"""So long a body may take, however little comes."""
MIN_BYTES_PER_S = 4096
"""Slower than that, on average after the grace, is no network of this century."""
LINGER_S = 2.0
"""So long what is left of a refused body is read and dropped: who sends in one go reads the answer
only after that, and would find the connection reset."""
SMALL = 128 << 10
"""Bytes of a body anywhere but where sound is sent."""


class Bounds:
    """Wraps an application.

    Args:
        app: what is wrapped.
        max_upload_bytes: of a body below ``/v1/audio/``.
    """

    def __init__(self, app: ASGIApp, max_upload_bytes: int) -> None:
        self._app = app
        self._max_upload_bytes = max_upload_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, within the bounds."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        limit = self._max_upload_bytes if scope["path"].startswith("/v1/audio/") else SMALL
        exchange = _Exchange(limit, receive, send)
        try:
            promised = _promised_bytes(scope)
            if promised is not None and promised > limit:
                raise _too_large(limit)
            await self._app(scope, exchange.receive, exchange.send)
        except ProblemError as problem:
            if exchange.has_begun:
                return  # the answer stays unfinished, which the client can see
            await answer(problem.status, str(problem))(scope, receive, exchange.send)


class _Exchange:
    """One request and its answer."""

    def __init__(self, limit: int, receive: Receive, send: Send) -> None:
        self._limit = limit
        self._receive = receive
        self._send = send
        self._n_received = 0
        self._begun_at_s = time.monotonic()
        self._is_whole = False
        self.has_begun = False

    async def receive(self) -> Message:
        """Take in the next part of the body."""
        if self._is_whole:  # what is awaited now is that the client leaves
            return await self._receive()
        deadline_s = self._begun_at_s + GRACE_S + self._n_received / MIN_BYTES_PER_S
        try:
            async with asyncio.timeout(max(0.0, deadline_s - time.monotonic())):
                message = await self._receive()
        except TimeoutError:
            raise ProblemError(TOO_SLOW, "the body comes too slowly; send it again") from None
        self._n_received += len(message.get("body", b""))
        if self._n_received > self._limit:
            raise _too_large(self._limit)
        self._is_whole = not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Send a part of the answer."""
        self.has_begun = True
        is_last = message["type"] == "http.response.body" and not message.get("more_body", False)
        if is_last and not self._is_whole:
            await self._send({**message, "more_body": True})
            await self._drop_the_rest()
            message = {"type": "http.response.body", "body": b""}
        await self._send(message)

    async def _drop_the_rest(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_S):
                while (await self._receive()).get("more_body", False):
                    pass


def _too_large(limit: int) -> ProblemError:
    size = f"{limit >> 20} MB" if limit >> 20 else f"{limit >> 10} KB"
    return ProblemError(TOO_LARGE, f"the body is larger than {size}; send less")


def _promised_bytes(scope: Scope) -> int | None:
    """Return what the header says of the body's length.

    Raises:
        ProblemError: it says nonsense.
    """
    for name, value in scope["headers"]:
        if name == b"content-length":
            if not value.isdigit():
                raise ProblemError(BAD_REQUEST, "Content-Length is no number")
            return int(value)
    return None
