"""Input devices and GPIO chips that tests make: at the border of the two libraries."""

import errno
import os
from types import SimpleNamespace

from evdev import InputEvent, ecodes


class Keyboard:
    """What evdev calls an input device; presses come through a pipe, so it can be waited for."""

    def __init__(self, name="a pedal", keys=(ecodes.KEY_F13,)):
        self.name = name
        self.is_there = True
        self.is_open = False
        self.held = []
        self._keys = list(keys)
        self._events = []
        self._readable, self._writable = os.pipe()

    def opened(self, _path):
        """Stand in for ``evdev.InputDevice(path)``."""
        if not self.is_there:
            raise OSError(errno.ENOENT, "No such file or directory", "/dev/input/event7")
        self.is_open = True
        return self

    @property
    def fd(self):
        return self._readable

    def capabilities(self):
        return {ecodes.EV_KEY: self._keys}

    def active_keys(self):
        return self.held

    def read(self):
        os.read(self._readable, 4096)
        if not self.is_there:
            raise OSError(errno.ENODEV, "No such device")
        events, self._events = self._events, []
        yield from events

    def close(self):
        self.is_open = False

    def happens(self, kind, code, value):
        self._events.append(InputEvent(0, 0, kind, code, value))
        os.write(self._writable, b".")

    def press(self, code=ecodes.KEY_F13):
        self.held = [code]
        self.happens(ecodes.EV_KEY, code, 1)

    def let_go(self, code=ecodes.KEY_F13):
        self.held = []
        self.happens(ecodes.EV_KEY, code, 0)

    def unplug(self):
        self.is_there = False
        os.write(self._writable, b".")


class Chip:
    """What gpiod calls a request of one line."""

    def __init__(self):
        self.asked = None
        self.value = False
        self.is_open = False
        self._events = []
        self._readable, self._writable = os.pipe()

    def request_lines(self, path, *, consumer, config):
        """Stand in for ``gpiod.request_lines``."""
        self.asked = SimpleNamespace(path=path, consumer=consumer, config=config)
        self.is_open = True
        return self

    @property
    def fd(self):
        return self._readable

    def get_value(self, _line):
        from gpiod.line import Value

        return Value.ACTIVE if self.value else Value.INACTIVE

    def set_value(self, _line, value):
        from gpiod.line import Value

        self.value = value is Value.ACTIVE

    def wait_edge_events(self, _timeout):
        return bool(self._events)

    def read_edge_events(self):
        os.read(self._readable, 4096)
        events, self._events = self._events, []
        return events

    def release(self):
        self.is_open = False

    def edge(self, *, active):
        from gpiod import EdgeEvent

        kind = EdgeEvent.Type.RISING_EDGE if active else EdgeEvent.Type.FALLING_EDGE
        self._events.append(EdgeEvent(kind.value, 0, 17, 1, 1))
        os.write(self._writable, b".")
