"""Errors as answers: one sentence, in the form that OpenAI's clients know."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from edge_asr.errors import (
    AudioFileError,
    CorrectionError,
    EdgeAsrError,
    RequestError,
    StoreError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request
    from starlette.responses import Response

BAD_REQUEST = 400
NO_TOKEN = 401
FORBIDDEN = 403
NOT_FOUND = 404
TOO_SLOW = 408
CONFLICT = 409
GONE = 410
TOO_LARGE = 413
UNPROCESSABLE = 422
BUSY = 503
FAULT = 500
_STATUS: tuple[tuple[type[EdgeAsrError], int], ...] = (
    (CorrectionError, CONFLICT),
    (RequestError, BAD_REQUEST),
    (AudioFileError, BAD_REQUEST),
    (StoreError, BUSY),
    (EdgeAsrError, FAULT),
)
"""What went wrong -> the answer's status; the first that fits."""


class ProblemError(EdgeAsrError):
    """A request that is not answered as asked.

    Args:
        status: of HTTP.
        sentence: what is wrong, and what to do.
        parameter: which one it is about.
        code: one of OpenAI's, for programs.
    """

    def __init__(
        self, status: int, sentence: str, parameter: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.parameter = parameter
        self.code = code


def answer(
    status: int,
    sentence: str,
    parameter: str | None = None,
    code: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an error as a response."""
    more = {"Retry-After": "5"} if status == BUSY else {}
    if status in {TOO_SLOW, TOO_LARGE}:
        more["Connection"] = "close"  # the rest of the body was not read
    error = error_fields(status, sentence, parameter, code)
    return JSONResponse({"error": error}, status, {**more, **(headers or {})})


def error_fields(
    status: int, sentence: str, parameter: str | None = None, code: str | None = None
) -> dict[str, str | None]:
    """Return an error as OpenAI's clients read it."""
    kind = "server_error" if status >= FAULT else "invalid_request_error"
    return {"message": sentence, "type": kind, "param": parameter, "code": code}


async def of_ours(_request: Request, error: Exception) -> Response:
    """Answer with an error that this package raised on purpose."""
    if isinstance(error, ProblemError):
        return answer(error.status, str(error), error.parameter, error.code)
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return answer(status, str(error))


async def of_defect(_request: Request, error: Exception) -> Response:
    """Answer that something broke that should not have, and write down what."""
    logging.getLogger(__name__).error("an answer failed", exc_info=error)
    return answer(FAULT, "something broke here; the server's messages say what")


async def of_http(_request: Request, error: Exception) -> Response:
    """Answer with an error of the framework: no such path, no such method, a broken form."""
    if not isinstance(error, HTTPException):
        raise error
    return answer(error.status_code, str(error.detail), headers=error.headers)
