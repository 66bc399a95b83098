"""Errors as answers: one sentence, in the form that OpenAI's clients know."""

from __future__ import annotations

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
_SERVER_FAULT = 500
_STATUS: tuple[tuple[type[EdgeAsrError], int], ...] = (
    (CorrectionError, CONFLICT),
    (RequestError, BAD_REQUEST),
    (AudioFileError, BAD_REQUEST),
    (StoreError, BUSY),
    (EdgeAsrError, _SERVER_FAULT),
)
"""What went wrong -> the answer's status; the first that fits."""


class ProblemError(EdgeAsrError):
    """A request that is not answered as asked.

    Args:
        status: of HTTP.
        sentence: what is wrong, and what to do.
        parameter: which one it is about.
    """

    def __init__(self, status: int, sentence: str, parameter: str | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.parameter = parameter


def answer(
    status: int,
    sentence: str,
    parameter: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> JSONResponse:
    """Return an error as a response."""
    kind = "server_error" if status >= _SERVER_FAULT else "invalid_request_error"
    error = {"message": sentence, "type": kind, "param": parameter, "code": None}
    more = {"Retry-After": "5"} if status == BUSY else {}
    if status in {TOO_SLOW, TOO_LARGE}:
        more["Connection"] = "close"  # the rest of the body was not read
    return JSONResponse({"error": error}, status, {**more, **(headers or {})})


async def of_ours(_request: Request, error: Exception) -> Response:
    """Answer with an error that this package raised on purpose."""
    if isinstance(error, ProblemError):
        return answer(error.status, str(error), error.parameter)
    status = next(status for kind, status in _STATUS if isinstance(error, kind))
    return answer(status, str(error))


async def of_http(_request: Request, error: Exception) -> Response:
    """Answer with an error of the framework: no such path, no such method, a broken form."""
    if not isinstance(error, HTTPException):
        raise error
    return answer(error.status_code, str(error.detail), headers=error.headers)
