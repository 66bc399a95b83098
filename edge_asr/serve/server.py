"""Runs the application until it is told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING

import uvicorn

from edge_asr.errors import StoreError
from edge_asr.serve.app import build
from edge_asr.serve.condition import Conditions
from edge_asr.serve.connections import Connection
from edge_asr.serve.live import Live
from edge_asr.serve.models import Models
from edge_asr.serve.readers import Readers
from edge_asr.serve.scraping import Metrics
from edge_asr.serve.site import Site
from edge_asr.serve.transcribing import Transcribing
from edge_asr.serve.uploads import Uploads
from edge_asr.settings_schema import setting_values

if TYPE_CHECKING:
    import socket
    import threading
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from edge_asr.config import Config
    from edge_asr.serve.access import Access

KEEP_ALIVE_S = 20
_LAST_ANSWERS_S = 3
_LOOK_S = 0.2
_ALIVE_S = 5.0


def site_at(
    state_dir: Path,
    config: Config,
    config_file: str | None,
    *,
    bundle_dirs: Sequence[Path] = (),
    bundle: str | None = None,
) -> Site:
    """Return the site of a state directory; nothing is opened before it is asked.

    Args:
        state_dir: whose log is served.
        config: what is set.
        config_file: where that was read from.
        bundle_dirs: where models are, in order.
        bundle: name or directory of the one that recognizes, if not the configured one.
    """
    readers = Readers(state_dir)
    models = Models(bundle_dirs, bundle or config.recognition.bundle, config.vad.bundle)
    values = setting_values(config)
    return Site(
        state_dir=state_dir,
        config=config,
        config_file=config_file,
        readers=readers,
        exports=Readers(state_dir, n_threads=1),
        writer=Readers(state_dir, n_threads=1, readonly=False),
        live=Live(state_dir, "serve"),
        conditions=Conditions(config, readers),
        metrics=Metrics(config, readers),
        models=models,
        uploads=Uploads(state_dir, config.retention.min_free_mb),
        transcribing=Transcribing(
            lambda: {"config": values, "vad": str(models.vad_directory())},
            config.serve.release_after_s,
        ),
    )


def run(
    site: Site,
    access: Access,
    sockets: Sequence[socket.socket],
    *,
    stop: threading.Event,
    ready: Callable[[], None],
    alive: Callable[[], None],
) -> None:
    """Serve until ``stop`` is set.

    Args:
        site: what is served.
        access: who may come in.
        sockets: where it listens; they are closed at the end.
        stop: is looked at a few times a second.
        ready: is called once requests are answered.
        alive: is called every few seconds after the log was read.

    Raises:
        StoreError: there is no log, and none can be made.
    """
    logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
    asyncio.run(_run(site, access, sockets, stop=stop, ready=ready, alive=alive))


async def _run(
    site: Site,
    access: Access,
    sockets: Sequence[socket.socket],
    *,
    stop: threading.Event,
    ready: Callable[[], None],
    alive: Callable[[], None],
) -> None:
    # A log that is not there is made, and an old one brought up to date.
    await site.writer.ask(lambda store: store.log.position())
    site.uploads.clear()
    server = _Server(_configured(site, access))
    serving = asyncio.create_task(server.serve(list(sockets)))
    watching = asyncio.create_task(_stay_alive(site, alive))
    told = False
    try:
        while not stop.is_set() and not serving.done():
            if server.started and not told:
                told = True
                ready()
            await asyncio.sleep(_LOOK_S)
    finally:
        watching.cancel()
        site.live.end()
        server.should_exit = True
        await serving
        await site.transcribing.close()
        for readers in (site.readers, site.exports, site.writer):
            await asyncio.to_thread(readers.close)


class _Server(uvicorn.Server):
    """Leaves signals to the command line."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing about signals."""
        yield


def _configured(site: Site, access: Access) -> uvicorn.Config:
    return uvicorn.Config(
        build(site, access),
        loop="asyncio",
        http=Connection,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=_LAST_ANSWERS_S,
    )


async def _stay_alive(site: Site, alive: Callable[[], None]) -> None:
    """Show that the log is still answered from, as a client would see it."""
    while True:
        with contextlib.suppress(StoreError):
            await site.readers.ask(lambda store: store.data_version)
            alive()
        await asyncio.sleep(_ALIVE_S)
