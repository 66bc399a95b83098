"""The queue of files to transcribe, and the process that does it: one file after another.

The process is started with the first file and ended when none came for a while, so that a board
that nobody sends files has its memory. What it is told and what it tells:
:mod:`edge_asr.serve.transcribing_child`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

from edge_asr.formats import FileTranscript, Segment
from edge_asr.records import Word
from edge_asr.serve.problems import BAD_REQUEST, BUSY, FAULT, ProblemError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine

    Order = dict[str, Any]

MAX_INSIDE = 8
"""Files that wait for their turn, with the one whose turn it is; more are refused."""
STUCK_S = 900.0
"""After so long without a word the process is taken for stuck."""
ABANDON_S = 30.0
"""So long an order that nobody waits for any more may go on until it is broken off."""
_LONGEST_LINE = 4 << 20
_STATUS = {"audio": BAD_REQUEST, "request": BAD_REQUEST}
_END_S = 5.0
_ENDED = ("done", "failed", "abandoned")


class Transcribing:
    """Has files transcribed.

    Args:
        setup: what the process is told at its start.
        release_after_s: it is ended when no file came for so long.
    """

    def __init__(self, setup: Callable[[], Order], release_after_s: float) -> None:
        self._setup = setup
        self._release_after_s = release_after_s
        self._turn = asyncio.Lock()
        self._n_inside = 0
        self._child: _Child | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def is_loaded(self) -> bool:
        """Whether there is a process, which may have a model in memory."""
        return self._child is not None

    def check_room(self) -> None:
        """Check that one more file may wait.

        Raises:
            ProblemError: too many do.
        """
        if self._n_inside >= MAX_INSIDE:
            raise ProblemError(BUSY, "too many files wait to be transcribed; send it again later")

    async def follow(
        self, order: Order, file_name: str
    ) -> AsyncGenerator[Segment | FileTranscript, None]:
        """Yield each segment as it is recognized, and at last the whole.

        Close the iterator to have the rest left alone.

        Raises:
            ProblemError: the file or the order is wrong, or something broke.
        """
        self.check_room()
        self._n_inside += 1
        try:
            await self._turn.acquire()
        except BaseException:
            self._n_inside -= 1
            raise
        child: _Child | None = None
        segments: list[Segment] = []
        event: Order = {}
        try:
            child = await self._ready_child()
            await child.send(order)
            while event.get("event") not in _ENDED:
                event = await child.receive()
                if event["event"] == "segment":
                    segments.append(_segment(event))
                    yield segments[-1]
            if event["event"] != "done":
                status = _STATUS.get(event.get("kind", ""), FAULT)
                parameter = "file" if event.get("kind") == "audio" else None
                raise ProblemError(status, event.get("message", "it was abandoned"), parameter)
            yield FileTranscript(
                file_name,
                event["language"],
                event["duration_s"],
                event["decode_s"],
                tuple(segments),
            )
        finally:
            if child is None or child.has_ended or event.get("event") in _ENDED:
                self._release()
            else:
                self._begin(self._abandon(child))

    async def close(self) -> None:
        """End the process; nobody asks any more."""
        self._let_go()
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def _ready_child(self) -> _Child:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._child is None or self._child.has_ended:
            self._child = await _Child.start(self._setup())
        return self._child

    async def _abandon(self, child: _Child) -> None:
        """Wait until the process does nothing any more, then let the next one have its turn."""
        try:
            async with asyncio.timeout(ABANDON_S):
                await child.send({"abandon": True})
                while (await child.receive())["event"] not in _ENDED:
                    pass
        except (TimeoutError, ProblemError):
            child.kill()
        finally:
            self._release()

    def _release(self) -> None:
        self._n_inside -= 1
        self._turn.release()
        if self._n_inside == 0:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._release_after_s, self._let_go)

    def _let_go(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._child is not None:
            self._begin(self._child.end())
            self._child = None

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Child:
    """The process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.has_ended = False

    @classmethod
    async def start(cls, setup: Order) -> _Child:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "edge_asr.serve.transcribing_child",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
        )
        child = cls(process)
        await child.send(setup)
        return child

    async def send(self, order: Order) -> None:
        stdin = self._process.stdin
        if stdin is not None:
            with contextlib.suppress(ConnectionError):  # it died, which receive() tells
                stdin.write(json.dumps(order).encode() + b"\n")
                await stdin.drain()

    async def receive(self) -> Order:
        """Return the next event.

        Raises:
            ProblemError: it died, or is stuck.
        """
        stdout = self._process.stdout
        line = b""
        if stdout is not None:
            try:
                async with asyncio.timeout(STUCK_S):
                    line = await stdout.readline()
            except (TimeoutError, ValueError):  # or a line without end
                self.kill()
                raise _broken("did not get on with the file") from None
        if not line.endswith(b"\n"):
            self.has_ended = True
            raise _broken("ended in the middle of the file; there may be too little memory")
        event: Order = json.loads(line)
        return event

    def kill(self) -> None:
        self.has_ended = True
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def end(self) -> None:
        """End it, which it does at once when its standard input ends."""
        self.has_ended = True
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            async with asyncio.timeout(_END_S):
                await self._process.communicate()
        except TimeoutError:
            self.kill()
            await self._process.communicate()


def _broken(what: str) -> ProblemError:
    return ProblemError(FAULT, f"the process that transcribes {what}; send it again")


def _segment(event: Order) -> Segment:
    """Return the segment that an event tells of."""
    given = {name: value for name, value in event.items() if name != "event"}
    words = tuple(Word(**word) for word in given.pop("words"))
    return Segment(**{**given, "flags": tuple(given["flags"])}, words=words)
