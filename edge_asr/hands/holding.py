"""The loop: buttons are waited for, the switch is flipped, the lights are kept true."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING, Literal

from edge_asr.errors import StoreError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from edge_asr.hands.button import Button
    from edge_asr.hands.lights import Light
    from edge_asr.hands.switch import Switch

LOOK_S = 0.1
"""How often the lights are compared with what is so: somebody else may mute, too."""
RETRY_S = 1.0
"""How often a button that is gone is looked for, and a disk that refused is asked again."""


class Hands:
    """Does what buttons say.

    Where a press means "talk", all is muted but for the time in which a button is held; a button
    that is gone is not held, and at the end all is muted: what nobody asked for is not recorded.

    Args:
        switch: what they flip.
        press: what a press means, ``mute`` or ``talk``.
        ways: each opens the buttons of one kind that are there; asked again while there is none.
        lights: what shows whether anything is recorded.
        complain: is told what does not work, in a sentence.
    """

    def __init__(
        self,
        switch: Switch,
        press: Literal["mute", "talk"],
        ways: Sequence[Callable[[], Sequence[Button]]],
        lights: Sequence[Light],
        complain: Callable[[str], None],
    ) -> None:
        self._switch = switch
        self._talks = press == "talk"
        self._ways = ways
        self._lights = lights
        self._complain = complain
        self._opened: list[list[Button]] = [[] for _ in ways]
        """Of each way, the buttons that are there."""
        self._wanted: bool | None = None
        """Muted or not, as long as the disk does not keep it."""
        self._tried_s = self._looked_s = -RETRY_S
        self._shown: bool | None = None
        self._told = ""

    def run(self, stop: threading.Event, alive: Callable[[], None]) -> None:
        """Go on until ``stop`` is set."""
        if self._talks:
            self._want(muted=True)
        try:
            while not stop.is_set():
                self._look_for_buttons()
                self._wait()
                self._flip()
                self._show()
                alive()
        finally:
            if self._talks:
                self._want(muted=True)
                self._flip()
                self._show()
            for button in self._buttons:
                button.close()

    @property
    def _buttons(self) -> list[Button]:
        return [button for opened in self._opened for button in opened]

    def _look_for_buttons(self) -> None:
        if all(self._opened) or time.monotonic() - self._looked_s < RETRY_S:
            return
        self._looked_s = time.monotonic()
        for way, opened in zip(self._ways, self._opened, strict=True):
            if opened:
                continue
            try:
                opened.extend(way())
            except OSError as error:
                self._say(f"no button: {error.filename or ''} {error.strerror or error}")
                continue
            if not opened:
                self._say("no button: no device that may be read has such a key")
                continue
            self._say(f"waiting for {', '.join(button.title for button in opened)}")
            if self._talks and any(button.is_pressed for button in opened):
                self._want(muted=False)

    def _wait(self) -> None:
        ready, _, _ = select.select(self._buttons, [], [], LOOK_S)
        for button in ready:
            try:
                changes = button.changes()
            except OSError:
                self._forget(button)
                changes = [False]
            self._take(changes)

    def _forget(self, button: Button) -> None:
        for opened in self._opened:
            if button in opened:
                opened.remove(button)
        button.close()
        self._say(f"{button.title} is gone")

    def _take(self, changes: Sequence[bool]) -> None:
        for pressed in changes:
            if self._talks:
                held = pressed or any(button.is_pressed for button in self._buttons)
                self._want(muted=not held)
                self._flip()
            elif pressed:
                muted = self._switch.is_muted if self._wanted is None else self._wanted
                self._want(muted=not muted)
                self._flip()

    def _want(self, *, muted: bool) -> None:
        self._wanted = muted
        self._tried_s = -RETRY_S

    def _flip(self) -> None:
        if self._wanted is None or time.monotonic() - self._tried_s < RETRY_S:
            return
        self._tried_s = time.monotonic()
        try:
            self._switch.flip(muted=self._wanted)
        except StoreError as error:
            self._say(f"{'muting' if self._wanted else 'unmuting'} does not work: {error}")
            return
        self._wanted = None

    def _show(self) -> None:
        try:
            recording = self._switch.is_recording
        except StoreError as error:
            self._say(f"nobody knows whether anything is recorded: {error}")
            return
        if recording == self._shown:
            return
        for light in self._lights:
            try:
                light.show(recording=recording)
            except OSError as error:
                self._say(f"a light does not work: {error.filename or ''} {error.strerror}")
                return
        self._shown = recording

    def _say(self, sentence: str) -> None:
        if sentence != self._told:  # what is tried each second is told once
            self._told = sentence
            self._complain(sentence)
