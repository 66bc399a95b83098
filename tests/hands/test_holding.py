"""What presses do: to the switch, to the log, and to the lights."""

import threading
import time
from contextlib import contextmanager

import pytest

pytest.importorskip("evdev")

from edge_asr.errors import StoreError
from edge_asr.hands.holding import Hands
from edge_asr.hands.key import Key
from edge_asr.hands.switch import Switch
from edge_asr.store import Store
from edge_asr.store.locks import listener_lock
from tests.hands.devices import Keyboard


class Light:
    def __init__(self):
        self.shown = []

    def show(self, *, recording):
        self.shown.append(recording)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as opened:
        yield opened


@contextmanager
def holding(store, press, pedal, light=None, sources=("mic",)):
    """Run the loop in a thread; yield what it said."""
    said, stop = [], threading.Event()

    def opened():
        if not pedal.is_there:
            raise OSError(2, "No such file or directory", "/dev/input/event7")
        return [Key(pedal, 183, "KEY_F13")]

    def run():
        with Store.open(store.state_dir) as own:  # of this thread
            switch = Switch(own, sources)
            Hands(switch, press, [opened], [light] if light else [], said.append).run(
                stop, lambda: None
            )

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield said
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def until(is_so, timeout_s=10):
    deadline_s = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def acts(store):
    """Return what the log says about muting, in order."""
    rows = store.mutes._database.rows(
        "SELECT kind, detail FROM events WHERE kind IN ('muted', 'unmuted') ORDER BY id"
    )
    return [kind for kind, _ in rows]


def test_a_press_mutes_and_the_next_one_unmutes(store):
    pedal = Keyboard()
    with holding(store, "mute", pedal, sources=("mic", "gate")) as said:
        until(lambda: said == ["waiting for KEY_F13 of a pedal"])
        for muted in (True, False):
            pedal.press()
            pedal.let_go()
            until(lambda m=muted: store.mutes.is_muted("gate") == m)
            assert store.mutes.is_muted("mic") == muted
    assert not store.mutes.is_muted("mic")


def test_a_press_counts_on_from_what_a_command_did(store):
    pedal = Keyboard()
    store.mutes.keep("mic", muted=True)
    with holding(store, "mute", pedal) as said:
        until(lambda: said)
        pedal.press()
        until(lambda: not store.mutes.is_muted("mic"))


def test_only_what_is_said_while_it_is_held_is_recorded(store):
    pedal = Keyboard()
    with holding(store, "talk", pedal):
        until(lambda: store.mutes.is_muted("mic"))
        pedal.press()
        until(lambda: not store.mutes.is_muted("mic"))
        pedal.let_go()
        until(lambda: store.mutes.is_muted("mic"))
        pedal.press()
        until(lambda: not store.mutes.is_muted("mic"))
    assert store.mutes.is_muted("mic")  # nobody listens to the button any more


def test_a_button_that_is_pulled_out_while_it_is_held_is_let_go(store):
    pedal = Keyboard()
    with holding(store, "talk", pedal) as said:
        until(lambda: said)
        pedal.press()
        until(lambda: not store.mutes.is_muted("mic"))
        pedal.unplug()
        until(lambda: store.mutes.is_muted("mic"))
        until(lambda: any("no button" in sentence for sentence in said))
        assert "KEY_F13 of a pedal is gone" in said
        pedal.held, pedal.is_there = [], True
        until(lambda: said[-1].startswith("waiting for"))
        pedal.press()
        until(lambda: not store.mutes.is_muted("mic"))


def test_the_light_is_on_while_somebody_listens_and_is_not_muted(store):
    pedal, light = Keyboard(), Light()
    with holding(store, "mute", pedal, light):
        until(lambda: light.shown == [False])  # not muted, but nobody listens
        with listener_lock(store.state_dir, "mic"):
            until(lambda: light.shown == [False, True])
            pedal.press()
            until(lambda: light.shown == [False, True, False])
            store.mutes.keep("mic", muted=False)  # as the command does
            until(lambda: light.shown == [False, True, False, True])
        until(lambda: light.shown == [False, True, False, True, False])


def test_the_log_says_when_it_was_muted_and_by_what(store):
    switch = Switch(store, ["mic", "gate"])
    store.mutes.keep("gate", muted=True)
    switch.flip(muted=True)
    switch.flip(muted=True)
    switch.flip(muted=False)
    assert acts(store) == ["muted", "unmuted", "unmuted"]  # gate was muted already


def test_an_end_that_cannot_be_written_down_is_none_and_a_mute_holds_all_the_same(
    store, monkeypatch
):
    def refuse(*_arguments, **_named):
        raise StoreError("the disk is full")

    switch = Switch(store, ["mic"])
    monkeypatch.setattr(store.mutes, "record", refuse)
    with pytest.raises(StoreError):
        switch.flip(muted=True)
    assert store.mutes.is_muted("mic")
    with pytest.raises(StoreError):
        switch.flip(muted=False)
    assert store.mutes.is_muted("mic")
