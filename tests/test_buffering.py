"""Sound waits in memory while storing it takes long."""

import threading
import time

import numpy as np
import pytest

from edge_asr import clock
from edge_asr.buffering import Buffer
from edge_asr.records import SAMPLE_RATE, AudioChunk, Gap, GapKind

CHUNK_S = 0.1


def chunks(n):
    start = clock.now()
    for number in range(n):
        waveform = np.full(int(SAMPLE_RATE * CHUNK_S), number / 1000, np.float32)
        yield AudioChunk(waveform, start.shifted(number * 100_000_000))


def alive():
    """Say nothing."""


def test_every_item_is_taken_once_and_in_order_by_another_thread():
    taken, threads = [], set()

    def take(item, _arrived_ns):
        taken.append(round(float(item.waveform[0]) * 1000))
        threads.add(threading.current_thread())

    Buffer(take, live=True).pour(chunks(500), alive)
    assert taken == list(range(500))
    assert threading.current_thread() not in threads


def test_a_source_is_heard_while_the_disk_is_stuck():
    """What arrives meanwhile arrives on time, and all of it is there afterwards."""
    may_go_on = threading.Event()
    taken, arrived = [], []

    def take(item, arrived_ns):
        assert may_go_on.wait(30)
        taken.append(item)
        arrived.append(arrived_ns)

    def source():
        yield from chunks(1_000)
        heard.append(time.monotonic_ns())
        may_go_on.set()

    heard = []
    Buffer(take, live=True).pour(source(), alive)
    assert len(taken) == 1_000
    assert max(arrived) < heard[0]


def test_beyond_the_bound_sound_is_lost_and_a_gap_says_how_much():
    may_go_on = threading.Event()
    taken = []

    def take(item, _arrived_ns):
        assert may_go_on.wait(30)
        taken.append(item)

    def source():
        sounds = list(chunks(70))
        yield from sounds[:60]
        may_go_on.set()
        while buffer.held_s > 0.5:
            time.sleep(0.01)
        yield from sounds[60:]

    buffer = Buffer(take, live=True, bound_s=2.0)
    buffer.pour(source(), alive)
    (gap,) = [item for item in taken if isinstance(item, Gap)]
    sounds = [item for item in taken if isinstance(item, AudioChunk)]
    assert gap.kind is GapKind.OVERFLOW
    assert gap.duration_s + len(sounds) * CHUNK_S == pytest.approx(7.0)
    assert taken.index(gap) == len(sounds) - 10
    assert gap.start.monotonic_ns == sounds[-11].start.monotonic_ns + 100_000_000


def test_a_file_waits_and_loses_nothing():
    taken = []

    def take(item, _arrived_ns):
        time.sleep(0.001)
        taken.append(item)

    Buffer(take, live=False, bound_s=0.5).pour(chunks(100), alive)
    assert len(taken) == 100
    assert all(isinstance(item, AudioChunk) for item in taken)


def test_an_error_of_storing_ends_the_hearing():
    def take(_item, _arrived_ns):
        raise ValueError("broken")

    def endless():
        while True:
            yield from chunks(10)
            time.sleep(0.001)

    with pytest.raises(ValueError, match="broken"):
        Buffer(take, live=True).pour(endless(), alive)


def test_an_error_of_the_source_still_stores_what_was_heard():
    taken = []

    def source():
        yield from chunks(50)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Buffer(lambda item, _: taken.append(item), live=True).pour(source(), alive)
    assert len(taken) == 50


def test_there_is_no_sign_of_life_while_storing_hangs():
    may_go_on, hangs = threading.Event(), threading.Event()
    signs = []

    def take(_item, _arrived_ns):
        hangs.set()
        assert may_go_on.wait(30)

    def source():
        sounds = list(chunks(60))
        yield sounds[0]
        assert hangs.wait(30)
        yield sounds[1]
        signs.clear()  # one may have been due from before
        yield from sounds[2:50]
        assert signs == []
        may_go_on.set()
        while buffer.held_s:
            time.sleep(0.01)
        yield from sounds[50:]
        assert signs

    buffer = Buffer(take, live=True)
    buffer.pour(source(), lambda: signs.append("alive"))


def test_a_disk_that_answers_no_again_and_again_is_a_sign_of_life():
    may_go_on = threading.Event()
    signs = []

    def take(_item, _arrived_ns):
        while not may_go_on.wait(0.01):
            buffer.moved()

    def source():
        for chunk in chunks(200):
            yield chunk
            time.sleep(0.005)
            if len(signs) > 20:
                break
        may_go_on.set()

    buffer = Buffer(take, live=True)
    buffer.pour(source(), lambda: signs.append("alive"))
    assert len(signs) > 20
