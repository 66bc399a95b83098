"""A key of an input device, through evdev: the one door to it."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import evdev
from evdev import ecodes

from edge_asr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

_REPEATED = 2
"""The value of a key that repeats itself while it is held."""


def key_code(name: str) -> int:
    """Return the number of a key, such as ``KEY_F13``.

    Raises:
        ConfigError: Linux knows no such key.
    """
    code = ecodes.ecodes.get(name)
    if not isinstance(code, int):
        raise ConfigError(f"hands.key: Linux knows no key '{name}'; evtest prints their names")
    return code


class Key:
    """One key of one device, as long as that is there."""

    def __init__(self, device: evdev.InputDevice[str], code: int, name: str) -> None:
        self._device = device
        self._code = code
        self.title = f"{name} of {device.name}"
        self.is_pressed = code in device.active_keys()

    def fileno(self) -> int:
        """Return the device's descriptor."""
        return int(self._device.fd)

    def changes(self) -> list[bool]:
        """Return each change since the last call.

        Raises:
            OSError: the device is gone.
        """
        told: list[bool] = []
        with suppress(BlockingIOError):
            for event in self._device.read():
                if event.type == ecodes.EV_KEY and event.code == self._code:
                    if event.value != _REPEATED:
                        self._note(told, pressed=bool(event.value))
                elif event.type == ecodes.EV_SYN and event.code == ecodes.SYN_DROPPED:
                    # The kernel's queue was full: what happened is lost, how it is now is not.
                    self._note(told, pressed=self._code in self._device.active_keys())
        return told

    def _note(self, told: list[bool], *, pressed: bool) -> None:
        if pressed != self.is_pressed:
            self.is_pressed = pressed
            told.append(pressed)

    def close(self) -> None:
        """Close the device."""
        with suppress(OSError):
            self._device.close()


def open_keys(name: str, path: str | None) -> list[Key]:
    """Open a key of one device, or of every device that has it now.

    Args:
        name: of the key.
        path: of the device; None: each that has such a key.

    Raises:
        ConfigError: there is no such key, in Linux or on the named device.
        OSError: the named device is not there, or may not be read.
    """
    code = key_code(name)
    keys = [Key(device, code, name) for device in _devices(path) if _has(device, code)]
    if path is not None and not keys:
        raise ConfigError(f"hands.keyboard: {path} has no key {name}")
    return keys


def _devices(path: str | None) -> Iterable[evdev.InputDevice[str]]:
    if path is not None:
        yield evdev.InputDevice(path)
        return
    for each in evdev.list_devices():  # those that this user may read
        with suppress(OSError):  # it was unplugged meanwhile
            yield evdev.InputDevice(each)


def _has(device: evdev.InputDevice[str], code: int) -> bool:
    if code in device.capabilities().get(ecodes.EV_KEY, ()):
        return True
    device.close()
    return False
