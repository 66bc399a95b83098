"""Files that clients send: bounded, written to disk as they come, gone once they are answered.

They lie in the state directory, which has room or says so: a temporary directory may be memory.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from edge_asr.formats import one_line
from edge_asr.serve.problems import BAD_REQUEST, BUSY, TOO_SLOW, ProblemError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from tempfile import _TemporaryFileWrapper

    from starlette.requests import Request

FOLDER = "uploads"
FILE = "file"
"""The field that holds the sound."""
MAX_AT_ONCE = 16
"""Files that may be on their way; what more comes waits a moment, then is asked to come again."""
FAIR_S = 1.0
FAIR_BYTES_PER_S = 64 << 10
"""When too many are on their way, the slowest of those makes room that came slower than this for a
second or more."""
WAIT_S = 3.0
_LOOK_S = 0.1
_MAX_PARTS = 64
_MAX_TEXT_BYTES = 64 << 10
"""Of all fields, and of what stands before each of them."""
_MAX_NAME = 200
_MAX_BOUNDARY_BYTES = 70
"""RFC 2046, section 5.1.1."""
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Form:
    """What a client sent."""

    fields: dict[str, list[str]]
    path: Path | None
    """Where its sound lies for now; None: there was none."""
    file_name: str
    """As the client calls it, for messages only."""


class Uploads:
    """Takes in forms.

    Args:
        state_dir: a folder in it is used.
        min_free_mb: how much of the disk must stay free.
    """

    def __init__(self, state_dir: Path, min_free_mb: int) -> None:
        self._folder = state_dir / FOLDER
        self._min_free_bytes = min_free_mb * _MB
        self._going: set[_Reading] = set()

    def clear(self) -> None:
        """Remove what a server that was killed left behind."""
        shutil.rmtree(self._folder, ignore_errors=True)

    @asynccontextmanager
    async def received(self, request: Request) -> AsyncIterator[Form]:
        """Read the form that a request brings; its file is there until the context ends.

        Raises:
            ProblemError: it is no form, too many come at once, or the disk is nearly full.
        """
        boundary = _boundary(request)
        await self._make_room()
        with self._new_file() as file:
            reading = _Reading(boundary, file.fileno(), self._min_free_bytes)
            self._going.add(reading)
            try:
                await reading.read(request)
            finally:
                self._going.discard(reading)
            path = Path(file.name) if reading.has_file else None
            yield Form(reading.fields, path, reading.file_name)

    def _new_file(self) -> _TemporaryFileWrapper[bytes]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            return tempfile.NamedTemporaryFile(dir=self._folder)
        except OSError as error:
            raise ProblemError(BUSY, f"files cannot be kept: {error.strerror}") from error

    async def _make_room(self) -> None:
        deadline_s = time.monotonic() + WAIT_S
        while len(self._going) >= MAX_AT_ONCE:
            slow = [each for each in self._going if each.is_slow]
            if slow:
                slowest = min(slow, key=lambda each: each.bytes_per_s)
                self._going.discard(slowest)
                slowest.give_up()
            elif time.monotonic() > deadline_s:
                sentence = "too many files are on their way; send it again in a moment"
                raise ProblemError(BUSY, sentence)
            else:
                await asyncio.sleep(_LOOK_S)


class _Reading:
    """One form, as it comes."""

    def __init__(self, boundary: bytes, descriptor: int, min_free_bytes: int) -> None:
        self.fields: dict[str, list[str]] = {}
        self.has_file = False
        self.file_name = FILE
        self._descriptor = descriptor
        self._min_free_bytes = min_free_bytes
        self._deadline = asyncio.timeout(None)
        self._unwritten: list[bytes] = []
        self._header = [b"", b""]
        self._disposition = b""
        self._value: list[bytes] | None = None
        """The parts of a field's value; None: it is the file, or nothing was begun."""
        self._name = ""
        self._n_parts = self._n_text_bytes = self._n_bytes = 0
        self._begun_at_s = time.monotonic()
        self._is_whole = False
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._head(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._head(1, data[start:end]),
                "on_header_end": self._end_header,
                "on_headers_finished": self._open,
                "on_part_data": lambda data, start, end: self._take(data[start:end]),
                "on_part_end": self._close,
                "on_end": self._end,
            },
        )

    @property
    def bytes_per_s(self) -> float:
        """How fast it comes."""
        return self._n_bytes / max(time.monotonic() - self._begun_at_s, _LOOK_S)

    @property
    def is_slow(self) -> bool:
        """Whether it came slowly for a while."""
        lasts_s = time.monotonic() - self._begun_at_s
        return lasts_s >= FAIR_S and self.bytes_per_s < FAIR_BYTES_PER_S

    def give_up(self) -> None:
        """Make room for another one."""
        self._deadline.reschedule(asyncio.get_running_loop().time())

    async def read(self, request: Request) -> None:
        """Read all of it.

        Raises:
            ProblemError: it is no form, or something else is in the way.
        """
        try:
            async with self._deadline:
                async for block in request.stream():
                    self._n_bytes += len(block)
                    self._parser.write(block)
                    if self._unwritten:
                        await asyncio.to_thread(self._write)
        except TimeoutError:
            sentence = "others wait to send a file, and this one came slowly; send it again"
            raise ProblemError(TOO_SLOW, sentence) from None
        except FormParserError as error:
            raise ProblemError(BAD_REQUEST, f"the form cannot be read: {error}") from None
        except OSError as error:
            raise ProblemError(BUSY, f"the file cannot be kept: {error.strerror}") from error
        if not self._is_whole:
            raise ProblemError(BAD_REQUEST, "the form breaks off; send it again")

    def _write(self) -> None:
        block, self._unwritten = b"".join(self._unwritten), []
        state = os.fstatvfs(self._descriptor)
        if state.f_bavail * state.f_frsize - len(block) < self._min_free_bytes:
            raise ProblemError(BUSY, "the disk is nearly full; sound that is heard goes first")
        view = memoryview(block)
        while view:
            view = view[os.write(self._descriptor, view) :]

    def _begin(self) -> None:
        self._n_parts += 1
        if self._n_parts > _MAX_PARTS:
            raise ProblemError(BAD_REQUEST, f"the form has more than {_MAX_PARTS} parts")
        self._disposition = b""
        self._value = None

    def _head(self, which: int, data: bytes) -> None:
        self._count(data)
        self._header[which] += data

    def _end_header(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = [b"", b""]

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = _text(options.get(b"name", b"")).removesuffix("[]")
        if b"filename" not in options:
            self._value = []
            return
        if self._name != FILE or self.has_file:
            raise ProblemError(BAD_REQUEST, f"send one file, as {FILE}", self._name)
        self.has_file = True
        self.file_name = one_line(_text(options[b"filename"]))[:_MAX_NAME] or FILE

    def _take(self, data: bytes) -> None:
        if self._value is None:
            self._unwritten.append(data)
            return
        self._count(data)
        self._value.append(data)

    def _count(self, data: bytes) -> None:
        self._n_text_bytes += len(data)
        if self._n_text_bytes > _MAX_TEXT_BYTES:
            kilobytes = _MAX_TEXT_BYTES >> 10
            raise ProblemError(BAD_REQUEST, f"the fields are larger than {kilobytes} KB")

    def _close(self) -> None:
        if self._value is not None:
            self.fields.setdefault(self._name, []).append(_text(b"".join(self._value)))
            self._value = None

    def _end(self) -> None:
        self._is_whole = True


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise ProblemError(BAD_REQUEST, "send a form: multipart/form-data, with a file in it")
    boundary = options[b"boundary"]
    if len(boundary) > _MAX_BOUNDARY_BYTES:
        raise ProblemError(BAD_REQUEST, "the boundary of the form is too long")
    return boundary


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ProblemError(BAD_REQUEST, "the fields of a form are UTF-8") from None
