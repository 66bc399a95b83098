"""One recognizer for each store, one listener for each source."""

import multiprocessing
import os
import signal

import pytest

from edge_asr.errors import StoreError
from edge_asr.store import Store


def test_a_second_recognizer_is_told_who_is_first(store, state_dir):
    with (
        store.recognizing(),
        Store.open(state_dir) as other,
        pytest.raises(StoreError, match=f"already being transcribed by process {os.getpid()}"),
        other.recognizing(),
    ):
        pass
    with store.recognizing():
        pass


def test_a_source_has_one_listener_and_others_have_theirs(store, state_dir):
    with store.listening("mic"), Store.open(state_dir) as other:
        with (
            pytest.raises(StoreError, match="'mic' is already listened to"),
            other.listening("mic"),
        ):
            pass
        with other.listening("line-in"):
            pass


@pytest.mark.parametrize("name", ["../../etc/passwd", "", ".", "x" * 500, "a/b", "caf\udce9", "\0"])
def test_a_source_may_be_called_anything(store, state_dir, name):
    with store.listening(name):
        locks = list((state_dir / "locks").iterdir())
        assert len(locks) == 1
    assert list((state_dir / "locks").iterdir()) == []


def hold(state_dir, ready):
    with Store.open(state_dir) as store, store.listening("mic"):
        ready.set()
        signal.pause()


def test_a_lock_ends_with_its_process(store, state_dir):
    fork = multiprocessing.get_context("fork")
    ready = fork.Event()
    holder = fork.Process(target=hold, args=(state_dir, ready))
    holder.start()
    assert ready.wait(10)
    with pytest.raises(StoreError, match=str(holder.pid)), store.listening("mic"):
        pass
    os.kill(holder.pid, signal.SIGKILL)
    holder.join()
    with store.listening("mic"):
        pass
