"""Events of the Wyoming protocol: what we say of ourselves, and what a client asks.

Whoever connects may send anything: what is read is bounded in size and in time.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

from wyoming.info import AsrModel, AsrProgram, Attribution, Info

from edge_asr import __version__
from edge_asr.errors import RequestError

if TYPE_CHECKING:
    from wyoming.asr import Transcribe

    from edge_asr.manifest import Manifest
    from edge_asr.records import Request

MAX_BYTES = 4 << 20
"""Of the sound in one event; clients send some hundredths of a second."""
SILENCE_S = 60.0
"""A client that says nothing for so long, and waits for nothing, is let go."""
MAX_KEYWORDS = 200


class BoundedReader:
    """Reads from a client as :func:`wyoming.event.async_read_event` wants it.

    Args:
        reader: its bytes; it bounds the length of a line.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        self._reader = reader

    async def readline(self) -> bytes:
        """Return the next line.

        Raises:
            ValueError: it is too long.
            TimeoutError: the client says nothing.
        """
        async with asyncio.timeout(SILENCE_S):
            return await self._reader.readline()

    async def readexactly(self, n_bytes: int) -> bytes:
        """Return so many bytes.

        Raises:
            ValueError: that is too much.
            TimeoutError: they do not come.
        """
        if not 0 < n_bytes <= MAX_BYTES:
            raise ValueError(f"{n_bytes} bytes in one event")
        async with asyncio.timeout(SILENCE_S):
            return await self._reader.readexactly(n_bytes)

    def feed_eof(self) -> None:
        """Take no more."""
        self._reader.feed_eof()


def info_of(manifest: Manifest, configured: Request) -> Info:
    """Return what is told of the bundle that recognizes."""
    origin = Attribution(str(manifest.source.get("origin", "")), "")
    can = manifest.capabilities
    model = AsrModel(
        name=manifest.name,
        attribution=origin,
        installed=True,
        description=f"{manifest.name} ({manifest.licence})",
        version=manifest.created_utc,
        languages=[configured.language] if configured.language else list(can.languages),
    )
    program = AsrProgram(
        name="edge-asr",
        attribution=Attribution("edge-asr", ""),
        installed=True,
        description="Offline speech recognition",
        version=__version__,
        models=[model],
        supports_transcript_streaming=True,
    )
    return Info(asr=[program])


def request_of(asked: Transcribe, manifest: Manifest, configured: Request) -> Request:
    """Return what is asked of the recognizer: what a client says, else what is configured.

    Raises:
        RequestError: another model is asked for, or a language that this one does not know.
    """
    can = manifest.capabilities
    if asked.name not in {None, "", manifest.name}:
        raise RequestError(f"no model '{str(asked.name)[:64]}'; there: {manifest.name}")
    language = configured.language
    if asked.language and asked.language != "auto":
        language = str(asked.language).replace("_", "-").partition("-")[0].lower()
        if language not in can.languages:
            known = ", ".join(can.languages)
            raise RequestError(f"{manifest.name} does not know '{language[:16]}'; it knows {known}")
    request = replace(
        configured,
        language=language,
        allowed_languages=() if language else configured.allowed_languages,
    )
    wanted = [*(asked.transcript_names or ()), *(asked.transcript_terms or ())][:MAX_KEYWORDS]
    if wanted and can.keywords:
        keywords = dict.fromkeys([*configured.keywords, *map(str, wanted)])
        request = replace(request, keywords=tuple(keywords))
    return request
