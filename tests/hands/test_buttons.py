"""Keys and GPIO lines, with devices of the tests' own behind evdev and libgpiod.

Neither /dev/uinput nor gpio-sim is there on every machine; where uinput is, a real device is used.
"""

import os
import time
from pathlib import Path

import pytest

evdev = pytest.importorskip("evdev")
gpiod = pytest.importorskip("gpiod")

from evdev import ecodes  # noqa: E402

from edge_asr.errors import ConfigError  # noqa: E402
from edge_asr.hands.key import key_code, open_keys  # noqa: E402
from edge_asr.hands.lights import Led, LightFile  # noqa: E402
from edge_asr.hands.line import LineButton, LineLight  # noqa: E402
from tests.hands.devices import Chip, Keyboard  # noqa: E402


@pytest.fixture
def keyboards(monkeypatch):
    """Return the input devices of this machine: path -> device."""
    devices = {}
    monkeypatch.setattr(evdev, "list_devices", lambda: list(devices))
    monkeypatch.setattr(evdev, "InputDevice", lambda path: devices[path].opened(path))
    return devices


@pytest.fixture
def chip(monkeypatch):
    made = Chip()
    monkeypatch.setattr(gpiod, "request_lines", made.request_lines)
    return made


def test_a_key_is_named_as_linux_names_it():
    assert key_code("KEY_F13") == ecodes.KEY_F13
    for nonsense in ("KEY_ANY_KEY", "SYN_REPORT_NOT"):
        with pytest.raises(ConfigError, match="Linux knows no key"):
            key_code(nonsense)


def test_every_device_that_has_the_key_is_opened_and_no_other(keyboards):
    keyboards["/dev/input/event1"] = mouse = Keyboard("a mouse", [ecodes.BTN_LEFT])
    keyboards["/dev/input/event2"] = Keyboard("a pedal")
    keyboards["/dev/input/event3"] = gone = Keyboard("a phone")
    gone.is_there = False
    assert [key.title for key in open_keys("KEY_F13", None)] == ["KEY_F13 of a pedal"]
    assert not mouse.is_open


def test_a_named_device_must_be_there_and_have_the_key(keyboards):
    keyboards["/dev/input/event1"] = mouse = Keyboard("a mouse", [ecodes.BTN_LEFT])
    with pytest.raises(ConfigError, match="has no key KEY_F13"):
        open_keys("KEY_F13", "/dev/input/event1")
    mouse.is_there = False
    with pytest.raises(OSError, match="No such file"):
        open_keys("KEY_F13", "/dev/input/event1")


def test_presses_are_told_and_repetitions_and_other_keys_are_not(keyboards):
    keyboards["/dev/input/event2"] = pedal = Keyboard()
    (key,) = open_keys("KEY_F13", None)
    pedal.press()
    pedal.happens(ecodes.EV_KEY, ecodes.KEY_F13, 2)
    pedal.happens(ecodes.EV_KEY, ecodes.KEY_A, 1)
    pedal.let_go()
    assert key.changes() == [True, False]
    assert not key.is_pressed


def test_a_release_that_the_kernel_dropped_is_noticed(keyboards):
    """Otherwise a button would count as held, and all would be recorded, until the next press."""
    keyboards["/dev/input/event2"] = pedal = Keyboard()
    (key,) = open_keys("KEY_F13", None)
    pedal.press()
    assert key.changes() == [True]
    pedal.held = []
    pedal.happens(ecodes.EV_SYN, ecodes.SYN_DROPPED, 0)
    assert key.changes() == [False]


def test_a_key_that_is_held_when_it_is_opened_is_pressed(keyboards):
    keyboards["/dev/input/event2"] = pedal = Keyboard()
    pedal.held = [ecodes.KEY_F13]
    (key,) = open_keys("KEY_F13", None)
    assert key.is_pressed


@pytest.mark.skipif(not os.access("/dev/uinput", os.W_OK), reason="needs /dev/uinput")
def test_a_real_device_of_the_kernel_is_read():
    with evdev.UInput({ecodes.EV_KEY: [ecodes.KEY_F13]}, name="edge-asr test pedal") as pedal:
        time.sleep(0.5)  # udev makes its node
        (key,) = open_keys("KEY_F13", pedal.device.path)
        for value in (1, 0):
            pedal.write(ecodes.EV_KEY, ecodes.KEY_F13, value)
            pedal.syn()
        time.sleep(0.1)
        assert key.changes() == [True, False]
        key.close()


def test_a_button_to_ground_is_pulled_up_debounced_and_pressed_when_low(chip):
    button = LineButton("gpiochip2:17", pressed_is_low=True)
    assert (chip.asked.path, chip.asked.consumer) == ("/dev/gpiochip2", "edge-asr")
    settings = chip.asked.config[17]
    assert settings.active_low
    assert settings.bias is gpiod.line.Bias.PULL_UP
    assert settings.edge_detection is gpiod.line.Edge.BOTH
    assert settings.debounce_period.total_seconds() == 0.02
    chip.edge(active=True)
    chip.edge(active=False)
    assert button.changes() == [True, False]
    button.close()
    assert not chip.is_open


def test_a_line_is_also_known_by_its_name_and_a_button_may_be_the_other_way_round(chip):
    chip.value = True
    button = LineButton("gpiochip0:TALK", pressed_is_low=False)
    assert chip.asked.config["TALK"].bias is gpiod.line.Bias.PULL_DOWN
    assert button.is_pressed


def test_a_chip_that_is_not_there_is_an_error_of_the_system():
    with pytest.raises(OSError, match=r"No such file|no such"):
        LineButton("gpiochip99:17", pressed_is_low=True)


def test_a_light_at_a_line_is_high_while_anything_is_recorded(chip):
    light = LineLight("gpiochip0:22")
    assert chip.asked.config[22].direction is gpiod.line.Direction.OUTPUT
    light.show(recording=True)
    assert chip.value
    light.show(recording=False)
    assert not chip.value


def test_an_led_is_taken_from_the_kernel_and_lit_as_bright_as_it_can_be(tmp_path):
    led = tmp_path / "ACT"
    led.mkdir()
    for name, content in (("brightness", "0"), ("max_brightness", "255\n"), ("trigger", "mmc0")):
        (led / name).write_text(content, encoding="ascii")
    light = Led("ACT", tmp_path)
    assert (led / "trigger").read_text() == "none"
    light.show(recording=True)
    assert (led / "brightness").read_text() == "255"
    light.show(recording=False)
    assert (led / "brightness").read_text() == "0"


def test_a_file_says_it_in_words_that_everybody_may_read(tmp_path):
    path = Path(tmp_path / "recording")
    LightFile(path).show(recording=True)
    assert path.read_text() == "recording\n"
    assert path.stat().st_mode & 0o777 == 0o644
    LightFile(path).show(recording=False)
    assert path.read_text() == "not recording\n"
    assert list(tmp_path.iterdir()) == [path]
