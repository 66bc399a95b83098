"""GPIO lines, through libgpiod: the one door to it."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta

import gpiod
from gpiod.line import Bias, Direction, Edge, Value

_CONSUMER = "edge-asr"
_BOUNCES = timedelta(milliseconds=20)
"""A contact that closes does so several times within about 10 ms."""


def _place(line: str) -> tuple[str, int | str]:
    """Return the device and the line of ``gpiochip0:17`` or ``gpiochip0:GPIO17``."""
    chip, _, name = line.partition(":")
    return f"/dev/{chip}", int(name) if name.isdecimal() else name


class LineButton:
    """A button at a GPIO line.

    Args:
        line: chip and line.
        pressed_is_low: it connects the line to ground, and the line is pulled up by the board.

    Raises:
        OSError: there is no such line, another program has it, or this user may not.
    """

    def __init__(self, line: str, *, pressed_is_low: bool) -> None:
        self.title = line
        path, self._line = _place(line)
        settings = gpiod.LineSettings(
            direction=Direction.INPUT,
            edge_detection=Edge.BOTH,
            bias=Bias.PULL_UP if pressed_is_low else Bias.PULL_DOWN,
            active_low=pressed_is_low,
            debounce_period=_BOUNCES,
        )
        self._request = gpiod.request_lines(path, consumer=_CONSUMER, config={self._line: settings})
        self.is_pressed = self._request.get_value(self._line) is Value.ACTIVE

    def fileno(self) -> int:
        """Return the request's descriptor."""
        return int(self._request.fd)

    def changes(self) -> list[bool]:
        """Return each change since the last call.

        Raises:
            OSError: the chip is gone.
        """
        told: list[bool] = []
        while self._request.wait_edge_events(timedelta(0)):
            for event in self._request.read_edge_events():
                pressed = event.event_type is event.Type.RISING_EDGE  # of what "active" means here
                if pressed != self.is_pressed:
                    self.is_pressed = pressed
                    told.append(pressed)
        return told

    def close(self) -> None:
        """Let go of the line."""
        with suppress(OSError):
            self._request.release()


class LineLight:
    """A light at a GPIO line: high is on.

    Raises:
        OSError: there is no such line, another program has it, or this user may not.
    """

    def __init__(self, line: str) -> None:
        path, self._line = _place(line)
        settings = gpiod.LineSettings(direction=Direction.OUTPUT, output_value=Value.INACTIVE)
        self._request = gpiod.request_lines(path, consumer=_CONSUMER, config={self._line: settings})

    def show(self, *, recording: bool) -> None:
        """Turn it on or off.

        Raises:
            OSError: the chip is gone.
        """
        self._request.set_value(self._line, Value.ACTIVE if recording else Value.INACTIVE)
