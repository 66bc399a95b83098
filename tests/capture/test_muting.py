"""What a muted source hears goes no further, and the time is told as a gap."""

import time

import numpy as np
import pytest

from edge_asr import clock
from edge_asr.capture import muting
from edge_asr.capture.muting import Muting
from edge_asr.records import AudioChunk, Gap, GapKind, SourceState, SourceStatus

HEARING = SourceStatus(SourceState.HEARING, "a microphone")
ABSENT = SourceStatus(SourceState.NO_DEVICE, "unplugged")


def chunk(value=0.5, ago_s=0.0):
    start = clock.now().shifted(round(-ago_s * 1e9))
    return AudioChunk(np.full(160, value, np.float32), start)


class Switch:
    """A source of what the test says, muted when the test says so."""

    def __init__(self):
        self.on = False

    def hear(self, *steps):
        """Return what comes out; a step is an item, or True to mute and False to unmute."""

        def source():
            for step in steps:
                if isinstance(step, bool):
                    self.on = step
                elif callable(step):
                    yield step()
                else:
                    yield step

        return list(Muting(source(), lambda: self.on))


def states(items):
    return [item.state for item in items if isinstance(item, SourceStatus)]


def sounds(items):
    return [float(item.waveform[0]) for item in items if isinstance(item, AudioChunk)]


def test_sound_of_the_muted_time_is_dropped_and_its_length_told():
    began_s = time.monotonic()
    muted = [lambda i=i: (time.sleep(0.05), chunk(i))[1] for i in (2, 3)]
    items = Switch().hear(HEARING, chunk(1), True, *muted, False, chunk, lambda: chunk(4))
    assert sounds(items) == [1.0, 4.0]
    assert states(items) == [SourceState.HEARING, SourceState.MUTED, SourceState.HEARING]
    (gap,) = [item for item in items if isinstance(item, Gap)]
    assert gap.kind is GapKind.MUTED
    assert 0.04 < gap.duration_s <= time.monotonic() - began_s
    assert items.index(gap) < len(items) - 1


def test_what_was_heard_while_muted_and_comes_late_is_dropped_too():
    late = chunk(2)
    items = Switch().hear(HEARING, True, chunk(1), False, late, lambda: chunk(3, ago_s=0.01))
    assert sounds(items) == []


def test_a_source_that_is_muted_from_the_start_says_so_before_it_hears():
    switch = Switch()
    switch.on = True
    items = switch.hear(HEARING, chunk)
    assert states(items) == [SourceState.MUTED]
    assert [item.kind for item in items if isinstance(item, Gap)] == [GapKind.MUTED]


def test_it_is_told_again_each_second_and_names_a_microphone_that_is_gone(monkeypatch):
    monkeypatch.setattr(muting, "STATUS_INTERVAL_NS", 0)
    items = Switch().hear(HEARING, True, chunk, ABSENT, ABSENT, False, ABSENT)
    told = [item for item in items if isinstance(item, SourceStatus)]
    assert [s.state.value for s in told] == [
        *("hearing", "muted", "muted", "muted"),
        *("no_device", "no_device"),
    ]
    assert "unplugged" in told[3].detail


def test_of_a_gap_only_what_was_before_the_mute_is_passed_on():
    gap = Gap(GapKind.OVERFLOW, clock.now().shifted(-1_000_000_000), 5.0)
    within = Gap(GapKind.OVERFLOW, clock.now().shifted(10_000_000_000), 5.0)
    items = Switch().hear(True, HEARING, gap, within)
    before, muted = [item for item in items if isinstance(item, Gap)]
    assert before.kind is GapKind.OVERFLOW
    assert before.duration_s == pytest.approx(1.0, abs=0.1)
    assert muted.kind is GapKind.MUTED
