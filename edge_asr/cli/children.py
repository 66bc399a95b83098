"""The loops as children of one terminal: started, read, ended in good order."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import queue
    from collections.abc import Callable, Sequence

    from edge_asr.cli.events import Event

STOP_TIMEOUT_S = 15.0
"""How long a child may take to finish the utterance at hand."""


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a child: an event, or a message for a person."""

    child: Child
    event: Event | None
    message: str = ""


class Child:
    """One loop in a process of its own. Its events arrive in ``inbox``."""

    def __init__(self, title: str, arguments: Sequence[str], inbox: queue.Queue[Said]) -> None:
        self.title = title
        self._inbox = inbox
        # The child stops when its standard input ends: on our word, or when we die.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge_asr.cli", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
        )
        self._readers = [
            threading.Thread(target=self._read, args=(stream, parse), daemon=True)
            for stream, parse in (
                (self._process.stdout, self._parse_event),
                (self._process.stderr, self._parse_message),
            )
        ]
        for reader in self._readers:
            reader.start()

    @property
    def exit_status(self) -> int | None:
        """The exit status, negative for a signal; None while it runs or has unread lines."""
        if any(reader.is_alive() for reader in self._readers):
            return None
        return self._process.poll()

    def ask_to_stop(self) -> None:
        """Let it finish what it has at hand and end."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()

    def toggle_mute(self) -> None:
        """Mute a listener, or unmute it."""
        self._process.send_signal(signal.SIGUSR1)

    def stop(self) -> None:
        """End it: by asking, and by force where that does not help."""
        self.ask_to_stop()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for reader in self._readers:
            reader.join()

    def _read(self, stream: IO[str], parse: Callable[[str], Said]) -> None:
        for line in stream:
            self._inbox.put(parse(line.rstrip("\n")))

    def _parse_event(self, line: str) -> Said:
        return Said(self, json.loads(line))

    def _parse_message(self, line: str) -> Said:
        return Said(self, None, line)
