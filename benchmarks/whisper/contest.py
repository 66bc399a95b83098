"""Workers that transcribe in turn, so that what else the machine does falls on all alike."""

from __future__ import annotations

import os
import subprocess
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Self

from benchmarks.whisper.protocol import READY, read_reply, to_line

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from benchmarks.whisper.protocol import Call, Model, Reply

_WORDS_OF_A_COMPLAINT = 800


class WorkerError(RuntimeError):
    """A worker ended before its time."""


@dataclass(frozen=True, slots=True)
class Entrant:
    """One system of a contest."""

    name: str
    model: Model
    python: Path
    """The interpreter that has its packages."""


class Worker:
    """A process with one system in it."""

    def __init__(self, entrant: Entrant) -> None:
        """Start it."""
        self.name = entrant.name
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [str(entrant.python), "-m", "benchmarks.whisper.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            env=dict(os.environ),  # without what this project has set for itself
        )
        self.pid = self._process.pid
        self._model = entrant.model

    def load(self) -> None:
        """Have it load its model, and wait until it has.

        Raises:
            WorkerError: it ends instead.
        """
        if self._ask(to_line(self._model)).strip() != READY:
            raise WorkerError(f"{self.name}: its first line was not {READY!r}")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """End the process."""
        with self._process:
            self._process.kill()
        self._log.close()

    def transcribe(self, call: Call) -> Reply:
        """Have one sound transcribed.

        Raises:
            WorkerError: the worker ends.
        """
        return read_reply(self._ask(to_line(call)))

    def _ask(self, line: str) -> str:
        assert self._process.stdin is not None  # noqa: S101 (both are pipes)
        assert self._process.stdout is not None  # noqa: S101
        try:
            print(line, file=self._process.stdin, flush=True)
        except BrokenPipeError:
            answer = ""
        else:
            answer = self._process.stdout.readline()
        if not answer:
            status = self._process.wait()
            self._log.seek(0)
            words = self._log.read()[-_WORDS_OF_A_COMPLAINT:]
            raise WorkerError(f"{self.name} ended with status {status}: {words}")
        return answer


@dataclass(frozen=True, slots=True)
class Turns:
    """What one system made of one sound, turn by turn."""

    call: Call
    replies: list[Reply]

    @property
    def wall_s(self) -> float:
        """The median."""
        return median(reply.wall_s for reply in self.replies)

    @property
    def cpu_s(self) -> float:
        """The median."""
        return median(reply.cpu_s for reply in self.replies)


def compete(
    entrants: Sequence[Entrant],
    calls: Sequence[Call],
    repeats: int,
    *,
    tell: Callable[[str], None],
) -> dict[str, list[Turns]]:
    """Have every system hear every sound, in turn, and all of it again in the next round.

    A sound before the first round is not counted.

    Args:
        entrants: the systems; all of them stay in memory until the end.
        calls: the sounds.
        repeats: rounds.
        tell: is told what is going on.

    Returns:
        For each system, its turns with each sound.
    """
    turns = {each.name: [Turns(call, []) for call in calls] for each in entrants}
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(each)) for each in entrants]
        for worker in workers:
            worker.load()
            worker.transcribe(calls[0])
        for number in range(1, repeats + 1):
            tell(f"round {number} of {repeats}")
            for place, call in enumerate(calls):
                for worker in workers:
                    turns[worker.name][place].replies.append(worker.transcribe(call))
    return turns
