"""How the paths of the API are described: parameters, operations, problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from edge_asr.serve.schemas import reference

if TYPE_CHECKING:
    from collections.abc import Sequence

Described = dict[str, Any]

_PROBLEMS = {
    "400": "What is asked makes no sense; the message says why.",
    "401": "A token is needed.",
    "403": "A page of another site asked.",
    "404": "There is none.",
    "408": "The body came too slowly.",
    "409": "Another version stands by now.",
    "410": "The sound was removed.",
    "413": "The body is too large.",
    "422": "The body is not what is wanted.",
    "500": "Something broke here.",
    "503": "Busy, or the log cannot be read now.",
}


def parameter(name: str, schema: Described, meaning: str) -> Described:
    """Describe a parameter of a query."""
    return {"name": name, "in": "query", "schema": schema, "description": meaning}


def operation(
    summary: str,
    schema: Described,
    *problems: str,
    parameters: tuple[Described, ...] | list[Described] = (),
    media: str = "application/json",
    also: Sequence[str] = (),
    status: str = "200",
    body: Described | None = None,
) -> Described:
    """Describe what is done at a path by a method.

    Args:
        summary: in words.
        schema: of the answer.
        problems: the statuses that an answer may have instead; 401, 403 and 503 always.
        parameters: of the path and the query.
        media: the answer's type.
        also: other types that it may have, all of them text.
        status: of the answer.
        body: what is sent.
    """
    content = {media: {"schema": schema}, **{each: {"schema": {"type": "string"}} for each in also}}
    described: Described = {
        "summary": summary,
        "responses": {
            status: {"description": "Done.", "content": content},
            **{code: _problem(code) for code in sorted({*problems, "400", "401", "403", "503"})},
        },
    }
    if parameters:
        described["parameters"] = list(parameters)
    if body is not None:
        described["requestBody"] = {"required": True, "content": body}
    return described


def _problem(code: str) -> Described:
    content = {"application/json": {"schema": reference("Error")}}
    return {"description": _PROBLEMS[code], "content": content}
