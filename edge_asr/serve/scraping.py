"""``/metrics``: how the appliance is and was, for Prometheus."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from starlette.responses import Response

from edge_asr.bridges.counted import keep_totals, read_totals
from edge_asr.bridges.metrics import CONTENT_TYPE, metrics_text
from edge_asr.serve.asked import Asked
from edge_asr.serve.condition import FRESH_S
from edge_asr.serve.site import site_of

if TYPE_CHECKING:
    from starlette.requests import Request

    from edge_asr.config import Config
    from edge_asr.serve.readers import Readers
    from edge_asr.store import Store
    from edge_asr.store.totals import Totals


class Metrics:
    """Keeps what was counted between two scrapes.

    Args:
        config: which microphones there should be.
        readers: connections to the log.
    """

    def __init__(self, config: Config, readers: Readers) -> None:
        self._config = config
        self._readers = readers
        self._totals: Totals | None = None
        self._lock = asyncio.Lock()
        self._text = b""
        self._written_at_s = -FRESH_S

    async def text(self) -> bytes:
        """Return the metrics, no older than a second, however many ask.

        Raises:
            StoreError: the log cannot be read.
        """
        async with self._lock:
            if time.monotonic() - self._written_at_s >= FRESH_S:
                self._text = await self._readers.ask(self._written)
                self._written_at_s = time.monotonic()
            return self._text

    def _written(self, store: Store) -> bytes:
        if self._totals is None:
            self._totals = read_totals(store.state_dir)
        text = metrics_text(store, self._config, self._totals)
        keep_totals(store.state_dir, self._totals)
        return text


async def metrics(request: Request) -> Response:
    """Answer with all metrics."""
    Asked(request, ())
    return Response(await site_of(request).metrics.text(), media_type=CONTENT_TYPE)
