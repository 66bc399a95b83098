"""The application: every path, and what stands before all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from edge_asr.errors import EdgeAsrError
from edge_asr.serve import (
    about,
    correcting,
    following,
    models,
    reading,
    scraping,
    transcriptions,
)
from edge_asr.serve.access import Guard
from edge_asr.serve.bounds import Bounds
from edge_asr.serve.headers import SafeHeaders
from edge_asr.serve.problems import of_defect, of_http, of_ours

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from edge_asr.serve.access import Access
    from edge_asr.serve.site import Site

PAGE = Path(__file__).parent / "page"


def routes() -> list[Route]:
    """Return every path of the API."""
    return [
        Route("/health", about.health),
        Route("/metrics", scraping.metrics),
        Route("/v1/state", about.state),
        Route("/v1/settings", about.settings),
        Route("/v1/openapi.json", about.openapi),
        Route("/v1/transcripts", reading.transcripts),
        Route("/v1/utterances/{utterance}", reading.one_utterance),
        Route("/v1/utterances/{utterance}/audio", reading.audio),
        Route("/v1/utterances/{utterance}/versions", correcting.correct, methods=["POST"]),
        Route("/v1/export", reading.export),
        Route("/v1/ledger", reading.ledger),
        Route("/v1/alarms", reading.alarms),
        Route("/v1/events", following.events),
        Route("/v1/audio/transcriptions", transcriptions.transcriptions, methods=["POST"]),
        Route("/v1/audio/translations", transcriptions.translations, methods=["POST"]),
        Route("/v1/models", models.models),
        Route("/v1/models/{model}", models.one_model),
    ]


def build(site: Site, access: Access) -> ASGIApp:
    """Return the application, with all that stands before it."""
    app = Starlette(
        routes=[*routes(), Mount("/", StaticFiles(directory=PAGE, html=True))],
        exception_handlers={
            EdgeAsrError: of_ours,
            HTTPException: of_http,
            Exception: of_defect,
        },
    )
    app.state.site = site
    guarded = Guard(app, access, PAGE / "sign-in.html")
    return SafeHeaders(Bounds(guarded, site.config.serve.max_upload_mb << 20))
