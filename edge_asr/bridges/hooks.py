"""Hooks: each transcript to a program or a server of the site's own, in order, from a queue.

The log is the queue. Each hook follows it in a thread and from a position of its own, so that one
that hangs holds up no other.
"""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING

from edge_asr.alarms import AlarmChange, AlarmCode
from edge_asr.bridges.following import Following
from edge_asr.bridges.handover import HandoverError, Patience, post, run_command
from edge_asr.bridges.messages import transcript_fields
from edge_asr.store import Store
from edge_asr.store.log import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from edge_asr.alarming import AlarmBook
    from edge_asr.bridge_settings import HookSettings

LONGEST_PAUSE_S = 60.0
STUCK_S = 20.0
_LOOK_S = 1.0


class Complaints:
    """The one alarm of all hooks: active while any of them fails.

    Args:
        book: writes it down.
        tell: is told of each failed try, in a sentence.
    """

    def __init__(self, book: AlarmBook, tell: Callable[[str], None]) -> None:
        self._book = book
        self._failing: set[str] = set()
        self._lock = threading.Lock()
        self.tell = tell

    def gave_up(self, name: str, sentence: str) -> None:
        """Take note that a hook was not told of a transcript."""
        self.tell(sentence)
        with self._lock:
            self._failing.add(name)
            self._book.take([AlarmChange(AlarmCode.HOOK_FAILS, active=True, detail=sentence)])

    def works(self, name: str) -> None:
        """Take note that a hook took a transcript."""
        with self._lock:
            self._failing.discard(name)
            if not self._failing:
                self._clear("it was told of the next one")

    def end(self) -> None:
        """Clear the alarm: nobody will know of it any more."""
        with self._lock:
            self._clear("the hooks were stopped")

    def retry(self) -> None:
        """Write down what the disk refused before."""
        with self._lock:
            self._book.retry()

    def _clear(self, detail: str) -> None:
        self._book.take([AlarmChange(AlarmCode.HOOK_FAILS, active=False, detail=detail)])


class Hook(threading.Thread):
    """One hook, in its thread.

    Args:
        settings: what is told, and how.
        state_dir: whose log is followed.
        complaints: is told what fails, and what works again.
        environ: the environment of a command.
        stop: ends it.
    """

    def __init__(
        self,
        settings: HookSettings,
        state_dir: Path,
        complaints: Complaints,
        environ: Mapping[str, str],
        stop: threading.Event,
    ) -> None:
        super().__init__(name=f"hook-{settings.name}", daemon=True)
        self.failure: BaseException | None = None
        self.follows = threading.Event()
        """Is set once nothing that is said from now on is missed."""
        self.moved_at_s = time.monotonic()
        """When it got on last, or waited knowingly."""
        self._settings = settings
        self._state_dir = state_dir
        self._complaints = complaints
        self._environ = environ
        self._stop_event = stop

    def run(self) -> None:
        """Follow the log until it is stopped."""
        try:
            with Store.open(self._state_dir, readonly=True) as store:
                following = Following(store, self.name, at_once=1)
                self.follows.set()
                while not self._stop_event.is_set():
                    self._move()
                    if all(self._tell(item) for item in following.news() if self._concerns(item)):
                        following.handed_over()
                        following.wait(self._stop_event)
        except BaseException as error:  # noqa: BLE001 (it is raised in the main thread)
            self.failure = error
            self.follows.set()

    def _concerns(self, item: object) -> bool:
        wanted = self._settings.source
        return isinstance(item, Entry) and wanted in {None, item.utterance.source}

    def _tell(self, item: object) -> bool:
        """Tell of a transcript, again and again; False if we are to stop before it is settled."""
        if not isinstance(item, Entry):
            return True
        payload = json.dumps(transcript_fields(item), ensure_ascii=False).encode() + b"\n"
        about = f"hook '{self._settings.name}', utterance {item.utterance.utterance_id}"
        sentence = ""
        for n_tries in range(1, self._settings.tries + 1):
            try:
                self._hand_over(payload)
            except HandoverError as error:
                sentence = f"{about}: {error} (try {n_tries} of {self._settings.tries})"
            else:
                self._complaints.works(self.name)
                return True
            if self._stop_event.is_set():
                return False
            if n_tries < self._settings.tries:
                self._complaints.tell(sentence)
                if not self._pause(min(2.0 ** (n_tries - 1), LONGEST_PAUSE_S)):
                    return False
        self._complaints.gave_up(self.name, sentence)
        return True

    def _hand_over(self, payload: bytes) -> None:
        settings = self._settings
        patience = Patience(settings.timeout_s, self._stop_event, self._move)
        if settings.unix_socket is not None:
            post(settings.unix_socket, settings.path, payload, patience)
        else:
            run_command(settings.command, payload, patience, self._environ)

    def _pause(self, duration_s: float) -> bool:
        """Wait; False if we are to stop."""
        end_s = time.monotonic() + duration_s
        while (left_s := end_s - time.monotonic()) > 0:
            self._move()
            if self._stop_event.wait(min(_LOOK_S, left_s)):
                return False
        return True

    def _move(self) -> None:
        self.moved_at_s = time.monotonic()


def run_hooks(
    hooks: Sequence[Hook],
    complaints: Complaints,
    *,
    stop: threading.Event,
    ready: Callable[[], None],
    alive: Callable[[], None],
) -> None:
    """Run all hooks until they are stopped.

    Args:
        hooks: which.
        complaints: of all of them.
        stop: ends them.
        ready: is called once nothing is missed any more.
        alive: is called while all of them get on.

    Raises:
        StoreError: the log cannot be read, or a position not be kept.
    """
    for hook in hooks:
        hook.start()
        hook.follows.wait()
    ready()
    try:
        while not stop.wait(_LOOK_S) and all(hook.failure is None for hook in hooks):
            complaints.retry()
            if all(time.monotonic() - hook.moved_at_s < STUCK_S for hook in hooks):
                alive()
    finally:
        stop.set()
        for hook in hooks:
            hook.join()
        complaints.end()
    for hook in hooks:
        if hook.failure is not None:
            raise hook.failure
