"""What shows whether anything is recorded: an LED of the board, a file."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from edge_asr.store.files import replace_file

LEDS = Path("/sys/class/leds")
_READABLE = 0o644


class Light(Protocol):
    """Something that a person, or a program, looks at."""

    def show(self, *, recording: bool) -> None:
        """Show it.

        Raises:
            OSError: that is not possible.
        """


class Led:
    """An LED of the board, which the kernel drives.

    Raises:
        OSError: there is none of that name, or this user may not.
    """

    def __init__(self, name: str, leds: Path = LEDS) -> None:
        directory = leds / name
        self._brightness = directory / "brightness"
        self._full = (directory / "max_brightness").read_text(encoding="ascii").strip()
        # Or the kernel goes on making it blink for the card, or for its own heart.
        (directory / "trigger").write_text("none", encoding="ascii")

    def show(self, *, recording: bool) -> None:
        """Turn it on or off."""
        self._brightness.write_text(self._full if recording else "0", encoding="ascii")


class LightFile:
    """A file that everybody may read."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def show(self, *, recording: bool) -> None:
        """Write it, as a whole or not at all."""
        words = b"recording\n" if recording else b"not recording\n"
        replace_file(self._path, words, mode=_READABLE, durable=False)
