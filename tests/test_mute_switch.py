"""Muting by a file and by a signal: which holds, what outlives a restart, what the log says."""

import pytest

from edge_asr import mute_switch
from edge_asr.errors import StoreError
from edge_asr.mute_switch import MuteSwitch
from edge_asr.store import Store
from edge_asr.store.events import EventKind, events


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as opened:
        yield opened


def switch_of(store, complaints=None):
    return MuteSwitch(store.mutes, "mic", (complaints if complaints is not None else []).append)


def acts(store):
    found = events(store._database, EventKind.MUTED, EventKind.UNMUTED)
    return [(event.kind.value, event.detail["by"]) for event in found]


def test_a_command_mutes_a_running_listener(store):
    switch = switch_of(store)
    assert not switch.is_muted()
    store.mutes.keep("mic", muted=True)
    assert switch.is_muted()
    store.mutes.keep("mic", muted=False)
    assert not switch.is_muted()


def test_a_signal_mutes_at_once_and_outlives_a_restart(store):
    switch = switch_of(store)
    switch.toggle()
    assert switch.is_muted()
    assert switch_of(store).is_muted()  # the next start
    switch.log()
    switch.toggle()
    assert not switch.is_muted()
    assert not switch_of(store).is_muted()
    switch.log()
    switch.log()
    assert acts(store) == [("muted", "signal"), ("unmuted", "signal")]


def test_a_disk_that_keeps_no_mute_is_complained_of_and_asked_again(store, monkeypatch):
    monkeypatch.setattr(mute_switch, "RETRY_S", 0.0)
    complaints = []
    switch = switch_of(store, complaints)
    keep = store.mutes.keep

    def refuse(*_, **__):
        raise StoreError("the disk is full")

    store.mutes.keep = refuse
    switch.toggle()
    assert switch.is_muted()
    assert switch.is_muted()
    assert "the disk is full" in complaints[0]
    store.mutes.keep = keep
    assert switch.is_muted()
    assert switch_of(store).is_muted()


def test_a_state_directory_that_is_moved_away_unmutes_nobody(store, tmp_path):
    store.mutes.keep("mic", muted=True)
    switch = switch_of(store)
    (tmp_path / "state").rename(tmp_path / "elsewhere")
    assert switch.is_muted()
    (tmp_path / "elsewhere").rename(tmp_path / "state")
    store.mutes.keep("mic", muted=False)
    assert not switch.is_muted()


def test_the_name_of_a_sound_file_is_no_path(store):
    store.mutes.keep("../../escape", muted=True)
    assert store.mutes.is_muted("../../escape")
    assert len(list((store.state_dir / "muted").iterdir())) == 1
