"""``hands``: a key or a button that mutes, or has to be held to talk; a light that shows it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edge_asr.cli.saying import say
from edge_asr.cli.signals import stop_event
from edge_asr.errors import ConfigError, EdgeAsrError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from edge_asr.cli.context import Context
    from edge_asr.hands.button import Button
    from edge_asr.hands.lights import Light
    from edge_asr.hands_settings import HandsSettings


@click.command()
@click.pass_obj
def hands(context: Context) -> None:
    """Mute by a key or a GPIO button, or record only while it is held; show it by a light.

    What they are stands under hands in the configuration. The light is on while a microphone is
    listened to and not muted, whoever muted it. Needs the extra: pip install 'edge-asr[hands]'.

    \b
    Examples:
      edge-asr --config my.yaml hands      in my.yaml: hands: {key: KEY_F13, file: /run/recording}
      edge-asr mute --status               what it did
    """
    from edge_asr.hands.holding import Hands
    from edge_asr.hands.switch import Switch
    from edge_asr.store import Store
    from edge_asr.store.locks import hands_lock

    settings = context.config.hands
    names = settings.sources or [microphone.name for microphone in context.config.microphones]
    for name in names:
        context.config.microphone(name)
    lights = open_lights(settings)
    ways = ways_to_buttons(settings)
    if not ways and not lights:
        raise ConfigError("there is no key, button or light: set hands in the configuration")
    notifier = context.notifier()
    stop = stop_event()

    def complain(sentence: str) -> None:
        say(f"edge-asr: {sentence}")
        notifier.status(sentence)

    with Store.open(context.state_dir) as store, hands_lock(context.state_dir):
        both = Hands(Switch(store, names), settings.press, ways, lights, complain)
        notifier.ready(f"hands on {', '.join(names)}")
        both.run(stop, notifier.alive)
        notifier.stopping()


def ways_to_buttons(settings: HandsSettings) -> list[Callable[[], Sequence[Button]]]:
    """Return what opens the configured button, and what opens the configured key.

    Raises:
        ConfigError: Linux knows no such key.
        EdgeAsrError: the library for it is not installed.
    """
    ways: list[Callable[[], Sequence[Button]]] = []
    try:
        if (line := settings.button) is not None:
            from edge_asr.hands.line import LineButton

            is_low = settings.button_pressed_is_low
            ways.append(lambda: [LineButton(line, pressed_is_low=is_low)])
        if (key := settings.key) is not None:
            from edge_asr.hands.key import key_code, open_keys

            key_code(key)
            ways.append(lambda: open_keys(key, settings.keyboard))
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    return ways


def open_lights(settings: HandsSettings) -> list[Light]:
    """Open the lights that are configured.

    Raises:
        EdgeAsrError: one of them is not there, or may not be used.
    """
    from edge_asr.hands.lights import Led, LightFile

    lights: list[Light] = []
    try:
        if settings.file is not None:
            lights.append(LightFile(Path(settings.file)))
        if settings.led is not None:
            lights.append(Led(settings.led))
        if settings.light is not None:
            from edge_asr.hands.line import LineLight

            lights.append(LineLight(settings.light))
    except ModuleNotFoundError as error:
        raise _missing(error) from error
    except OSError as error:
        raise EdgeAsrError(f"a light does not work: {error.filename}: {error.strerror}") from error
    return lights


def _missing(error: ModuleNotFoundError) -> EdgeAsrError:
    return EdgeAsrError(f"{error.name} is missing; install it with: pip install 'edge-asr[hands]'")
