"""A mark of the utterance that is being transcribed, to know it when the process dies of it.

An exception is recorded where it is caught. A crash is not: the mark (the file ``recognizing``) is
still there at the next start. Python's fault handler writes into it on a segmentation fault, an
abort (also systemd's watchdog's), a bus error and the like; a mark without its word means that the
process was killed from outside, which says much less about the utterance. A mark from another boot
says nothing at all: the power went.
"""

from __future__ import annotations

import faulthandler
import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.clock import boot_id
from edge_asr.store.files import OWNER_ONLY, file_errors

if TYPE_CHECKING:
    from pathlib import Path

MARK = "recognizing"
_MAX_BYTES = 64 << 10
_STDERR = 2


@dataclass(frozen=True, slots=True)
class LeftMark:
    """An attempt that a process did not live to end."""

    utterance_id: int
    pass_key: str
    """Which second pass it was; empty: the first one."""
    crash: str | None
    """What the fault handler wrote in its first line; None: the process was killed from outside."""


class AttemptMark:
    """The mark. It is not synchronised: it is about crashes of a process, not of the machine."""

    def __init__(self, state_dir: Path) -> None:
        self._path = state_dir / MARK
        self._descriptor: int | None = None
        self._had_faulthandler = False

    def set(self, utterance_id: int, pass_key: str = "") -> None:
        """Note that this utterance is being transcribed now, or in which second pass it is."""
        with file_errors(self._path):
            descriptor = self._open()
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{utterance_id} {boot_id()} {pass_key}\n".encode("ascii"))

    def clear(self) -> None:
        """Note that nothing is being transcribed."""
        with file_errors(self._path):
            os.ftruncate(self._open(), 0)

    def take_left(self) -> LeftMark | None:
        """Return what a dead process left, once, if it was in this boot."""
        with file_errors(self._path):
            try:
                with self._path.open(encoding="utf-8", errors="replace") as file:
                    content = file.read(_MAX_BYTES)
            except FileNotFoundError:
                return None
        mark, _, crash = content.partition("\n")
        utterance_id, boot, pass_key = [*mark.split(" ", 2), "", ""][:3]
        if not utterance_id.isdecimal() or boot != boot_id():
            return None
        return LeftMark(int(utterance_id), pass_key, crash.partition("\n")[0] or None)

    def close(self) -> None:
        """Remove the file and give the fault handler back."""
        if self._descriptor is None:
            return
        faulthandler.disable()
        if self._had_faulthandler:
            faulthandler.enable(_STDERR)
        os.close(self._descriptor)
        self._descriptor = None
        with suppress(OSError):  # what it says then was settled
            self._path.unlink(missing_ok=True)

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._descriptor = os.open(self._path, flags, OWNER_ONLY)
            self._had_faulthandler = faulthandler.is_enabled()
            faulthandler.enable(self._descriptor)
        return self._descriptor
