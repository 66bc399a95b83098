"""The settings of keys, buttons and lights; :mod:`edge_asr.settings` has all others."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

LINE = r"^gpiochip\d+:[A-Za-z0-9_.-]+$"
LED = r"^[A-Za-z0-9:_.-]+$"
KEY = r"^(KEY|BTN)_[A-Z0-9_]+$"
Line = Annotated[str, msgspec.Meta(pattern=LINE)]


class HandsSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What mutes by hand, and shows it, by ``edge-asr hands``."""

    press: Literal["mute", "talk"] = "mute"
    """What a press does: ``mute`` mutes, and the next one unmutes; with ``talk`` only what is said
    while it is held is recorded."""
    sources: list[str] = []
    """Names of the microphones that are meant; none: all of the configuration."""
    key: Annotated[str, msgspec.Meta(pattern=KEY)] | None = None
    """A key, by its name in Linux: ``KEY_F13``, ``BTN_0``; null: none. ``evtest`` prints them."""
    keyboard: str | None = None
    """The device that has it, best below ``/dev/input/by-id``; null: each that has such a key."""
    button: Line | None = None
    """A GPIO line with a button, ``CHIP:LINE``: ``gpiochip0:17``; null: none. ``gpioinfo`` prints
    them."""
    button_pressed_is_low: bool = True
    """The button connects the line to ground, and the line is pulled up. false: the reverse."""
    light: Line | None = None
    """A GPIO line that is high while anything is recorded; null: none."""
    led: Annotated[str, msgspec.Meta(pattern=LED)] | None = None
    """An LED of the board, as it is called below ``/sys/class/leds``; null: none."""
    file: str | None = None
    """A file that holds ``recording`` or ``not recording``; null: none."""
