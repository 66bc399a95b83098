"""A person's corrections: the one thing that a client may add to the log."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from edge_asr.entries import version_fields
from edge_asr.serve.asked import Asked, utterance
from edge_asr.serve.problems import BAD_REQUEST, UNPROCESSABLE, ProblemError
from edge_asr.serve.site import site_of

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from edge_asr.records import Transcript
    from edge_asr.store import Store

MAX_CHARACTERS = 10_000
_CREATED = 201
_BIGGEST_VERSION = 1 << 31


async def correct(request: Request) -> Response:
    """Add a version that a person wrote, and answer with it."""
    Asked(request, ())
    name = request.path_params["utterance"]
    text, parent_version = await _correction(request)

    def write(store: Store) -> Transcript:
        found = utterance(store, name)
        return store.corrections.add(
            found.utterance_id,
            text,
            parent_version=parent_version,
            created_utc_ns=time.time_ns(),
        )

    added = await site_of(request).writer.ask(write)
    return JSONResponse(version_fields(added), _CREATED)


async def _correction(request: Request) -> tuple[str, int | None]:
    """Return the text and the version it corrects.

    Raises:
        ProblemError: the body is no correction.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise ProblemError(BAD_REQUEST, "send the correction as application/json")
    try:
        body: Any = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise ProblemError(BAD_REQUEST, "the body is not JSON") from None
    if not isinstance(body, dict) or not body.keys() <= {"text", "parent_version"}:
        raise ProblemError(UNPROCESSABLE, "send an object with text and parent_version")
    text, parent = body.get("text"), body.get("parent_version")
    if not isinstance(text, str) or not 0 < len(text) <= MAX_CHARACTERS:
        raise ProblemError(UNPROCESSABLE, f"text: is 1 to {MAX_CHARACTERS} characters", "text")
    if isinstance(parent, float) and parent.is_integer():  # which JSON does not tell apart
        parent = int(parent)
    if parent is not None and (
        not isinstance(parent, int)
        or isinstance(parent, bool)
        or not 1 <= parent < _BIGGEST_VERSION
    ):
        sentence = "parent_version: is the number of the version that is corrected, or null"
        raise ProblemError(UNPROCESSABLE, sentence, "parent_version")
    return text, parent
