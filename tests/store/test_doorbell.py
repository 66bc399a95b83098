"""The doorbell wakes the recognizer; without it, seconds are lost and nothing else."""

import os
import signal
import threading
import time

import pytest

from edge_asr.store import Store, doorbell
from edge_asr.store.doorbell import Doorbell


@pytest.fixture
def bell(tmp_path):
    made = Doorbell(tmp_path)
    with made.answering():
        yield made


def took_s(work):
    began_s = time.monotonic()
    work()
    return time.monotonic() - began_s


def test_a_ring_from_elsewhere_ends_the_wait(bell, tmp_path):
    timer = threading.Timer(0.2, Doorbell(tmp_path).ring)
    timer.start()
    assert took_s(lambda: bell.wait(10)) < 2
    timer.join()


def test_a_ring_before_the_wait_is_not_lost(bell, tmp_path):
    Doorbell(tmp_path).ring()
    assert bell.wait(10)


def test_many_rings_are_one(bell, tmp_path):
    for _ in range(1_000):
        Doorbell(tmp_path).ring()
    assert bell.wait(0)
    assert not bell.wait(0.01)


def test_without_a_ring_the_time_runs_out(bell):
    assert not bell.wait(0.05)


def test_ringing_where_nobody_answers_does_nothing(tmp_path):
    Doorbell(tmp_path).ring()
    Doorbell(tmp_path / "missing").ring()
    assert list(tmp_path.iterdir()) == []


def test_the_socket_of_a_dead_recognizer_is_replaced(tmp_path):
    Doorbell(tmp_path)._bind().close()  # the file stays
    bell = Doorbell(tmp_path)
    with bell.answering():
        Doorbell(tmp_path).ring()
        assert bell.wait(5)
    assert list(tmp_path.iterdir()) == []


def test_a_long_path_is_no_hindrance(tmp_path):
    deep = tmp_path / ("d" * 120) / ("e" * 120)
    with Store.open(deep) as store, store.recognizing():
        store.doorbell.ring()
        assert store.doorbell.wait(5)


def test_a_signal_ends_the_wait(bell):
    """The loop's handler only sets a flag: the wait must not go on to its end."""
    previous = signal.signal(signal.SIGUSR1, lambda *_: None)
    timer = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGUSR1))
    timer.start()
    try:
        assert took_s(lambda: bell.wait(10)) < 2
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, previous)


def test_where_no_socket_can_be_made_the_wait_is_short(tmp_path, monkeypatch):
    monkeypatch.setattr(doorbell, "POLL_S", 0.05)
    (tmp_path / "recognize.sock").mkdir()  # cannot be unlinked, nor bound
    bell = Doorbell(tmp_path)
    with bell.answering():
        bell.ring()
        assert took_s(lambda: bell.wait(10)) < 2
