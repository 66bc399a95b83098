"""Frames on the clock: what is missing shows, what is only late does not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_asr.capture.timeline import Lost, Placed, Timeline
from edge_asr.capture.wire import PcmFrames

RATE = 16_000
READ = 1600
MS = 1_000_000


def read(at_ms, n_frames=READ, *, overflowed=False):
    return PcmFrames(round(at_ms * MS), n_frames, overflowed, bytes(2 * n_frames))


def place(reads, rate=RATE):
    timeline = Timeline(rate)
    items = [item for each in reads for item in timeline.place(each)]
    return items + timeline.release()


def losses_ms(items):
    return [
        ((item.start_ns) / MS, (item.end_ns - item.start_ns) / MS)
        for item in items
        if isinstance(item, Lost)
    ]


def test_a_steady_device_is_placed_where_it_was_captured():
    items = place([read(1000 + 100 * index) for index in range(20)])
    assert [item.start_ns for item in items] == [(900 + 100 * index) * MS for index in range(20)]


def test_every_frame_is_placed_once_and_in_order():
    late = [0, 0, 400, 300, 200, 100, 0, 0, 0]
    reads = [
        PcmFrames(round((100 * index + lag) * MS), READ, False, bytes([index]))
        for index, lag in enumerate(late)
    ]
    assert [item.pcm[0] for item in place(reads)] == list(range(9))


def test_reads_that_come_late_but_catch_up_are_no_loss():
    reads = [read(100 * index) for index in range(1, 20)]
    reads += [read(4000)] * 20  # the reader was held up for 2 s, and the driver kept it all
    reads += [read(100 * index) for index in range(41, 80)]
    assert losses_ms(place(reads)) == []


def test_a_silent_loss_is_found_and_placed_before_the_sound_that_follows():
    reads = [read(100 * index) for index in range(1, 20)]
    reads += [read(100 * index + 5000) for index in range(20, 40)]
    items = place(reads)
    assert losses_ms(items) == [(1900.0, 5000.0)]
    at = next(index for index, item in enumerate(items) if isinstance(item, Lost))
    assert at == 19
    assert items[at + 1].start_ns == items[at].end_ns


def test_a_loss_that_the_driver_admits_is_found_however_small():
    reads = [read(100 * index) for index in range(1, 20)]
    reads += [read(2080, overflowed=True)]
    reads += [read(100 * index + 80) for index in range(21, 40)]
    assert losses_ms(place(reads)) == [(1900.0, 80.0)]


@pytest.mark.parametrize("drift", [-0.02, -0.005, 0.0, 0.001, 0.019])
def test_a_clock_that_drifts_makes_no_gaps_in_hours(drift):
    rng = np.random.default_rng(7)
    reads = [
        read(100 * index * (1 + drift) + rng.exponential(15.0)) for index in range(1, 3 * 36_000)
    ]
    items = place(reads)
    assert losses_ms(items) == []
    assert abs(items[-1].end_ns / MS - 100 * len(reads) * (1 + drift)) < 200


def test_a_device_that_loses_a_tenth_of_its_sound_does_not_go_unnoticed():
    items = place([read(110 * index) for index in range(1, 600)])
    lost_ms = sum(duration_ms for _, duration_ms in losses_ms(items))
    # 2 % is taken for drift, the rest is told.
    assert 0.06 * 600 * 100 < lost_ms < 0.1 * 600 * 100


def test_a_source_that_is_faster_than_time_never_lies_in_the_future():
    items = place([read(1000 + index) for index in range(100)])
    assert losses_ms(items) == []
    assert all(item.end_ns <= (1000 + index) * MS for index, item in enumerate(items) if index > 0)


@settings(deadline=None)
@given(
    st.integers(10, 60),
    st.integers(250, 8000),
    st.floats(-0.015, 0.015),
    st.integers(0, 2**32 - 1),
)
def test_one_loss_gives_one_gap_of_its_length_whatever_the_jitter(n_before, lost_ms, drift, seed):
    rng = np.random.default_rng(seed)
    times = [100 * index * (1 + drift) for index in range(1, n_before + 30)]
    reads = [
        read(at + (lost_ms if index >= n_before else 0) + rng.uniform(0, 40))
        for index, at in enumerate(times)
    ]
    found = losses_ms(place(reads))
    assert len(found) == 1
    assert found[0][1] == pytest.approx(lost_ms, abs=90)


def test_frames_held_back_when_the_device_goes_are_not_lost():
    reads = [read(100 * index) for index in range(1, 10)] + [read(1500), read(1510)]
    items = place(reads)
    assert len(items) == len(reads)
    assert all(isinstance(item, Placed) for item in items)
