"""Who may come in. An ASGI middleware.

- Without a token only this machine can reach the server, so whoever can may read. A browser on it
  also runs the pages of others, which must not: they are told apart by ``Origin``,
  ``Sec-Fetch-Site`` and ``Host`` (a name of theirs may point to this machine).
- With a token everybody must have it: in ``Authorization: Bearer``, or, in a browser that has
  signed in, a cookie that is made from it.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, RedirectResponse

from edge_asr.serve.problems import FORBIDDEN, NO_TOKEN, answer

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.responses import Response
    from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "edge-asr"
SIGN_IN = "/sign-in"
WRONG_TOKEN_S = 0.5
"""Whoever guesses waits so long for each answer."""
_SEE_OTHER = 303
_SAFE_METHODS = {"GET", "HEAD"}
_COOKIE_S = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Access:
    """What is asked of a client."""

    token: str | None = None
    """None: nothing; the server can only be reached from this machine."""
    checks_host: bool = True
    """Whether it must have called this machine by a name of its own: over TCP without a token."""

    @property
    def cookie(self) -> str:
        """What a browser keeps: it lets in, and does not tell the token."""
        key = (self.token or "").encode()
        return hmac.new(key, b"a browser of edge-asr", hashlib.sha256).hexdigest()

    def knows(self, token: str) -> bool:
        """Say whether it is the token; how long that takes tells nothing about it."""
        return self.token is not None and _same(token, self.token)

    def admits(self, headers: Headers) -> bool:
        """Say whether a request shows the token."""
        if self.token is None:
            return True
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer":
            return self.knows(given.strip())
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return False
        return cookie is not None and _same(cookie.value, self.cookie)


class Guard:
    """Wraps an application.

    Args:
        app: what is wrapped.
        access: what is asked of a client.
        sign_in_page: is shown to browsers that have not signed in.
    """

    def __init__(self, app: ASGIApp, access: Access, sign_in_page: Path) -> None:
        self._app = app
        self._access = access
        self._sign_in_page = sign_in_page

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in, or answer it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is None and self._access.token is not None and scope["path"] == SIGN_IN:
            refusal = await self._sign_in(scope, receive)
        elif refusal is None and not self._access.admits(headers):
            refusal = await self._ask_for_token(scope, headers)
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal(scope, receive, send)

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Return what answers a page of somebody else."""
        host = headers.get("host", "")
        if self._access.token is None and self._access.checks_host and not is_this_machine(host):
            return answer(FORBIDDEN, "call this machine localhost or 127.0.0.1")
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != host
        site = headers.get("sec-fetch-site", "none")
        arrives = headers.get("sec-fetch-mode") == "navigate" and scope["method"] in _SAFE_METHODS
        if foreign or (site in {"cross-site", "same-site"} and not arrives):
            return answer(FORBIDDEN, "pages of other sites may not ask this server")
        return None

    async def _ask_for_token(self, scope: Scope, headers: Headers) -> Response:
        if headers.get("authorization") is not None:
            await asyncio.sleep(WRONG_TOKEN_S)
        wants_page = "text/html" in headers.get("accept", "")
        if scope["method"] in _SAFE_METHODS and wants_page:
            return FileResponse(self._sign_in_page, NO_TOKEN)
        sentence = "a token is needed: send the header Authorization: Bearer TOKEN"
        return answer(NO_TOKEN, sentence, headers={"WWW-Authenticate": "Bearer"})

    async def _sign_in(self, scope: Scope, receive: Receive) -> Response:
        if scope["method"] != "POST":
            return FileResponse(self._sign_in_page)
        body = await Request(scope, receive).body()  # its length is bounded before it gets here
        given = parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0].strip()
        if not self._access.knows(given):
            await asyncio.sleep(WRONG_TOKEN_S)
            return FileResponse(self._sign_in_page, NO_TOKEN)
        response = RedirectResponse("/", _SEE_OTHER)
        response.set_cookie(
            COOKIE, self._access.cookie, max_age=_COOKIE_S, httponly=True, samesite="strict"
        )
        return response


def is_this_machine(host: str) -> bool:
    """Say whether the value of a ``Host`` header names this machine, with or without a port."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
