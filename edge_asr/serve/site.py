"""What the answers are made of: one of each, for as long as the server runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.requests import Request

    from edge_asr.config import Config
    from edge_asr.serve.condition import Conditions
    from edge_asr.serve.live import Live
    from edge_asr.serve.models import Models
    from edge_asr.serve.readers import Readers
    from edge_asr.serve.scraping import Metrics
    from edge_asr.serve.transcribing import Transcribing
    from edge_asr.serve.uploads import Uploads


@dataclass(frozen=True, slots=True)
class Site:
    """What the server serves."""

    state_dir: Path
    config: Config
    config_file: str | None
    """Where it was read from; None: nowhere, these are the defaults."""
    readers: Readers
    exports: Readers
    """One connection, in whose thread long readings take turns."""
    writer: Readers
    """The one that writes."""
    live: Live
    conditions: Conditions
    metrics: Metrics
    models: Models
    uploads: Uploads
    transcribing: Transcribing


def site_of(request: Request) -> Site:
    """Return the site that a request is for."""
    site: Site = request.app.state.site
    return site
