"""The process that transcribes what clients send, and nothing else.

Sound from strangers is decoded here, by libraries in C, with a model in memory of its own. When it
crashes, hangs or is killed because memory ends, the server stays and says so, and starts it anew.
It reads orders from standard input, a JSON object on each line, and writes events to standard
output::

    {"config": {...}}                                    once, at first
    {"path": ..., "name": ..., "bundle": ..., "request": ..., "numerals": ...}
                                                         -> {"event": "segment", ...}, ...
                                                            {"event": "done", ...}
    {"abandon": true}                                    -> {"event": "abandoned"}

An order ends with ``done``, ``failed`` or ``abandoned``; the next one is sent after that.

    python -m edge_asr.serve.transcribing_child
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edge_asr.abandoning import AbandonedError, abandoned_when
from edge_asr.bundle import open_bundle
from edge_asr.capture.vad import open_vad
from edge_asr.config import parse_config
from edge_asr.context import Context, Said
from edge_asr.errors import AudioFileError, BundleError, EdgeAsrError, RequestError
from edge_asr.prepared import measured_pace
from edge_asr.recognizers import open_recognizer
from edge_asr.records import Task
from edge_asr.rewriting import configured
from edge_asr.sessions import default_threads
from edge_asr.transcribe import FileTranscriber

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge_asr.bundle import Bundle
    from edge_asr.config import Config
    from edge_asr.formats import Segment
    from edge_asr.recognizers import Recognizer
    from edge_asr.records import Request

    Order = dict[str, Any]
    Tell = Callable[[Order], None]

NICENESS = 15
"""Behind the server, which gives way to whoever listens."""
_OOM_SCORE = "1000"
"""When memory ends, this process goes first."""
_KINDS: tuple[tuple[type[EdgeAsrError], str], ...] = (
    (AudioFileError, "audio"),
    (RequestError, "request"),
    (BundleError, "bundle"),
    (EdgeAsrError, "other"),
)


def main() -> None:
    """Transcribe until standard input ends."""
    out = _private_stdout()
    # Ctrl-C and systemd's SIGTERM go to the server, which closes standard input.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _give_way()
    setup = json.loads(sys.stdin.readline())
    orders = _Orders()
    transcriber = _Transcriber(setup, lambda event: _write(out, event))
    while True:
        order = orders.next()
        transcriber.follow(order, orders.abandoned.is_set)


class _Orders:
    """What standard input says, read in a thread so that work can be abandoned."""

    def __init__(self) -> None:
        self._orders: queue.Queue[Order] = queue.Queue()
        self.abandoned = threading.Event()
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> Order:
        return self._orders.get()

    def _read(self) -> None:
        for line in sys.stdin:
            order = json.loads(line)
            if "abandon" in order:
                self.abandoned.set()
            else:
                self.abandoned.clear()  # it was about the one before, which has ended
                self._orders.put(order)
        os._exit(0)  # in the middle of whatever it does: nobody waits for that any more


class _Transcriber:
    """Follows orders, with one model at a time in memory."""

    def __init__(self, setup: Order, tell: Tell) -> None:
        self._config = parse_config(json.dumps(setup["config"]))
        self._vad = Path(setup["vad"])
        self._tell = tell
        self._opened: tuple[str, Recognizer] | None = None

    def follow(self, order: Order, is_abandoned: Callable[[], bool]) -> None:
        """Follow one order to its end, whatever that is."""
        try:
            with abandoned_when(is_abandoned):
                done = self._transcribe(order, is_abandoned)
        except AbandonedError:
            self._tell({"event": "abandoned"})
        except EdgeAsrError as error:
            kind = next(kind for of, kind in _KINDS if isinstance(error, of))
            message = str(error).replace(order["path"], order["name"])
            self._tell({"event": "failed", "kind": kind, "message": message})
        else:
            self._tell(done)

    def _transcribe(self, order: Order, is_abandoned: Callable[[], bool]) -> Order:
        recognizer = self._recognizer(order["bundle"])
        request = _request(self._config, recognizer.bundle, order["request"])
        recognizer.check(request)
        rewriting = configured(self._config, numerals=order["numerals"])
        vad = open_vad(open_bundle(self._vad, family="silero-vad"))

        def tell(segment: Segment) -> None:
            if is_abandoned():
                raise AbandonedError
            self._tell({"event": "segment", **asdict(rewriting.of_segment(segment))})

        result = FileTranscriber(vad, self._config.vad, recognizer).transcribe(
            Path(order["path"]),
            request,
            progress=lambda *_: None,
            tell=tell,
            longest_s=self._config.serve.max_audio_s,
        )
        return {
            "event": "done",
            "language": result.language,
            "duration_s": result.duration_s,
            "decode_s": result.decode_s,
        }

    def _recognizer(self, directory: str) -> Recognizer:
        """Return the recognizer of a bundle; the one before it goes first."""
        if self._opened is None or self._opened[0] != directory:
            self._opened = None
            bundle = open_bundle(Path(directory))
            opened = open_recognizer(bundle, n_threads=_n_threads(self._config, bundle))
            self._opened = directory, opened
        return self._opened[1]


def _request(config: Config, bundle: Bundle, asked: Order) -> Request:
    """Return what is asked: what was given, else what is configured and this bundle can do."""
    configured = config.recognition.request
    can = bundle.manifest.capabilities
    language, said = asked.get("language"), asked["said_before"]
    return replace(
        configured,
        task=Task(asked["task"]),
        language=language or configured.language,
        allowed_languages=() if language else configured.allowed_languages,
        target_language=asked.get("target_language"),
        keywords=tuple(asked["keywords"]) or (configured.keywords if can.keywords else ()),
        punctuated=configured.punctuated and can.punctuation,
        context=Context((Said(said),), language=None) if said else None,
    )


def _n_threads(config: Config, bundle: Bundle) -> int:
    pace = measured_pace(bundle.directory, bundle.sha256)
    return config.recognition.threads or default_threads(pace.n_threads if pace else 0)


def _private_stdout() -> int:
    """Return a descriptor for the pipe; libraries that print then print to standard error."""
    out = os.dup(1)
    os.dup2(2, 1)
    return out


def _give_way() -> None:
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    with suppress(OSError):  # systemd's filter of system calls may refuse it
        os.nice(max(0, NICENESS - os.nice(0)))


def _write(out: int, event: Order) -> None:
    view = memoryview(json.dumps(event).encode() + b"\n")
    try:
        while view:
            view = view[os.write(out, view) :]
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
