"""One client of the Wyoming server, from its connection to its end.

Text is sent while sound still comes: each utterance, once it has ended, is a chunk of the
transcript. Nothing of it is stored.
"""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wyoming.asr import (
    Transcribe,
    Transcript,
    TranscriptChunk,
    TranscriptStart,
    TranscriptStop,
)
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.error import Error
from wyoming.info import Describe
from wyoming.ping import Ping, Pong
from wyoming.server import AsyncEventHandler

from edge_asr.bridges.ear import Ear
from edge_asr.bridges.wyoming_events import SILENCE_S, BoundedReader, info_of, request_of
from edge_asr.errors import EdgeAsrError
from edge_asr.formats import one_line
from edge_asr.transcribe import longest_language

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from concurrent.futures import Executor

    from wyoming.event import Event, Eventable

    from edge_asr.bridges.engine import Engine
    from edge_asr.capture.vad import SileroVad
    from edge_asr.config import Config
    from edge_asr.manifest import Manifest
    from edge_asr.records import Request
    from edge_asr.rewriting import Rewriting
    from edge_asr.transcribe import Stretch

NONSENSE = (
    asyncio.IncompleteReadError,
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
)
"""What comes of a client that breaks off, is silent, or does not speak the protocol."""
MAX_AHEAD = 8
"""Utterances that wait for text; then the client's sound waits, too."""


@dataclass(frozen=True, slots=True)
class Service:
    """What all clients share."""

    config: Config
    manifest: Manifest
    """Of the bundle that recognizes."""
    engine: Engine
    rewriting: Rewriting
    open_vad: Callable[[], SileroVad]
    hearing: Executor
    """Threads in which sound is cut into utterances."""


class Client(AsyncEventHandler):
    """Answers one client.

    Args:
        service: what all clients share.
        reader: what it sends.
        writer: what it gets.
    """

    def __init__(
        self, service: Service, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(BoundedReader(reader), writer)  # type: ignore[arg-type]
        self._service = service
        self._asked = Transcribe()
        self._dictation: _Dictation | None = None
        self._failed_at_s: float | None = None

    async def run(self) -> None:
        """Answer until the client leaves, or does not make sense."""
        try:
            await super().run()
        except NONSENSE:
            self.writer.close()

    async def handle_event(self, event: Event) -> bool:
        """Answer an event; False ends the connection.

        A request that went wrong is told at once, and the connection ends with its sound: before
        that, a client that still sends might not read why.
        """
        if self._failed_at_s is not None:
            has_ended = AudioStop.is_type(event.type)
            return not has_ended and time.monotonic() - self._failed_at_s < SILENCE_S
        try:
            await self._answer(event)
        except EdgeAsrError as error:
            self._failed_at_s = time.monotonic()
            await self._leave_dictation()
            await self.write_event(Error(str(error), type(error).__name__).event())
            return not AudioStop.is_type(event.type)
        return True

    async def disconnect(self) -> None:
        """Leave alone what nobody waits for any more."""
        await self._leave_dictation()

    async def _answer(self, event: Event) -> None:
        if Describe.is_type(event.type):
            service = self._service
            info = info_of(service.manifest, service.config.recognition.request)
            await self.write_event(info.event())
        elif Ping.is_type(event.type):
            await self.write_event(Pong(Ping.from_event(event).text).event())
        elif Transcribe.is_type(event.type):
            self._asked = Transcribe.from_event(event)
        elif AudioStart.is_type(event.type):
            start = AudioStart.from_event(event)
            await self._begin(start.rate, start.width, start.channels)
        elif AudioChunk.is_type(event.type):
            await self._hear(AudioChunk.from_event(event))
        elif AudioStop.is_type(event.type) and self._dictation is not None:
            dictation, self._dictation = self._dictation, None
            await dictation.finish()

    async def _begin(self, rate: int, width: int, channels: int) -> _Dictation:
        await self._leave_dictation()
        service = self._service
        request = request_of(self._asked, service.manifest, service.config.recognition.request)
        loop = asyncio.get_running_loop()
        vad = await loop.run_in_executor(service.hearing, service.open_vad)
        ear = Ear(
            vad,
            service.config.vad,
            sample_rate=rate,
            width=width,
            n_channels=channels,
            longest_s=service.config.wyoming.max_audio_s,
        )
        self._dictation = _Dictation(service, request, ear, self._send)
        return self._dictation

    async def _hear(self, chunk: AudioChunk) -> None:
        dictation = self._dictation
        if dictation is None:  # a client that leaves out the beginning
            dictation = await self._begin(chunk.rate, chunk.width, chunk.channels)
        await dictation.hear(chunk.audio)

    async def _leave_dictation(self) -> None:
        dictation, self._dictation = self._dictation, None
        if dictation is not None:
            await dictation.leave()

    async def _send(self, event: Eventable) -> None:
        await self.write_event(event.event())


class _Dictation:
    """One request: sound that comes, and text that goes, side by side."""

    def __init__(
        self,
        service: Service,
        request: Request,
        ear: Ear,
        send: Callable[[Eventable], Coroutine[Any, Any, None]],
    ) -> None:
        self._service = service
        self._request = request
        self._send = send
        self._ear = ear
        self._stretches: asyncio.Queue[Stretch | None] = asyncio.Queue(MAX_AHEAD)
        self._is_left = threading.Event()
        self._chunks: list[str] = []
        self._spoken: list[tuple[str, float]] = []
        self._writing = asyncio.create_task(self._write_down())

    async def hear(self, pcm: bytes) -> None:
        """Hear the next sound."""
        await self._take(lambda: self._ear.hear(pcm))

    async def finish(self) -> None:
        """Answer with the whole text: nothing more will come."""
        await self._take(self._ear.finish)
        await self._put(None)
        await self._writing
        language = longest_language(self._spoken) or self._request.language
        if not self._chunks:
            await self._send(TranscriptStart(language=language))
        await self._send(Transcript("".join(self._chunks), language=language))
        await self._send(TranscriptStop())

    async def leave(self) -> None:
        """Leave the rest alone."""
        self._is_left.set()
        self._writing.cancel()
        await asyncio.wait([self._writing])
        if not self._writing.cancelled():
            self._writing.exception()  # nobody waits for that either

    async def _take(self, work: Callable[[], list[Stretch]]) -> None:
        loop = asyncio.get_running_loop()
        for stretch in await loop.run_in_executor(self._service.hearing, work):
            await self._put(stretch)

    async def _put(self, stretch: Stretch | None) -> None:
        """Have it written down; the error that ended the writing is raised here."""
        putting = asyncio.ensure_future(self._stretches.put(stretch))
        await asyncio.wait([putting, self._writing], return_when=asyncio.FIRST_COMPLETED)
        if not putting.done() or self._writing.done():
            putting.cancel()
            await self._writing

    async def _write_down(self) -> None:
        # It is loaded while somebody still speaks.
        await self._service.engine.check(self._request)
        while (stretch := await self._stretches.get()) is not None:
            found = await self._service.engine.transcribe(
                stretch.waveform, self._request, self._is_left.is_set
            )
            text = one_line(self._service.rewriting.apply(found.text, found.language))
            if not text:
                continue
            if not self._chunks:
                await self._send(TranscriptStart(language=found.language))
            self._spoken.append((found.language, stretch.end_s - stretch.start_s))
            self._chunks.append(f" {text}" if self._chunks else text)
            await self._send(TranscriptChunk(self._chunks[-1]))
