"""What the server says of itself and of the appliance: health, state, settings, its own API."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from starlette.responses import JSONResponse

from edge_asr.serve.asked import Asked
from edge_asr.serve.openapi import document
from edge_asr.serve.site import site_of
from edge_asr.settings_schema import config_schema, setting_values

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response


async def health(request: Request) -> Response:
    """Answer whether the log can be read."""
    Asked(request, ())
    await site_of(request).readers.ask(lambda store: store.log.position())
    return JSONResponse({"status": "ok"})


async def state(request: Request) -> Response:
    """Answer with how the appliance is."""
    Asked(request, ())
    return JSONResponse(await site_of(request).conditions.now())


async def settings(request: Request) -> Response:
    """Answer with every setting, its value, and what it means; none can be changed here."""
    Asked(request, ())
    site = site_of(request)
    sections = [
        _section(name, value, _schema()["$defs"])
        for name, value in setting_values(site.config).items()
    ]
    return JSONResponse({"file": site.config_file, "sections": sections})


def _section(name: str, value: Any, schemas: dict[str, Any]) -> dict[str, Any]:  # noqa: ANN401
    """Return a section of the configuration, which may be a list of several of a kind."""
    described = schemas["Config"]["properties"][name]
    reference = described.get("items", described)["$ref"].rpartition("/")[2]
    properties = schemas[reference]["properties"]
    is_list = "items" in described
    places = {f"{name}[{i}]": each for i, each in enumerate(value)} if is_list else {name: value}
    return {
        "section": name,
        "description": described["description"],
        "settings": [
            {
                "name": f"{place}.{key}",
                "value": setting,
                "description": properties[key]["description"],
            }
            for place, entry in places.items()
            for key, setting in entry.items()
        ],
    }


@cache
def _schema() -> dict[str, Any]:
    return config_schema()


async def openapi(request: Request) -> Response:
    """Answer with the description of this API."""
    Asked(request, ())
    return JSONResponse(document())
