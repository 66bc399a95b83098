"""Rejected sound is kept in bounds: for a while, up to a size, and never in the way."""

import stat
import threading
import time

import numpy as np
import pytest

from edge_asr.audio import read_flac
from edge_asr.records import ClockQuality, Instant, RejectedBecause
from edge_asr.store import rejected as module
from edge_asr.store.rejected import DIRECTORY, Limits, RejectedSounds, rejected_sounds

LIMITS = Limits(keep_h=24.0, max_bytes=1 << 20, min_free_bytes=0)
SECOND_NS = 1_000_000_000


def instant(ago_s=0.0):
    utc_ns = time.time_ns() - int(ago_s * SECOND_NS)
    return Instant(utc_ns, 1, "boot", ClockQuality.RTC)


def noise(seconds, seed=0):
    size = int(seconds * 16_000)
    return np.random.default_rng(seed).normal(scale=0.1, size=size).astype(np.float32)


def keep(state, limits, *sounds):
    state.mkdir(exist_ok=True)
    with RejectedSounds(state, limits) as kept:
        for start, waveform in sounds:
            kept.keep("press-4.b", start, waveform, 0.384, RejectedBecause.UNSURE)
    return list(rejected_sounds(state))


def test_sound_is_kept_with_what_it_is(tmp_path):
    start = instant(60)

    (found,) = keep(tmp_path / "state", LIMITS, (start, noise(1.0)))

    assert (found.source, found.peak) == ("press-4.b", 0.38)
    assert found.because is RejectedBecause.UNSURE
    assert found.start_utc_ns == start.utc_ns // 1_000_000 * 1_000_000
    assert np.abs(read_flac(found.path) - noise(1.0)).max() < 1e-4
    assert stat.S_IMODE(found.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(found.path.parent.stat().st_mode) == 0o700


def test_what_is_too_old_goes(tmp_path):
    state = tmp_path / "state"
    keep(state, LIMITS, (instant(3 * 3600), noise(0.5)))

    (found,) = keep(state, Limits(1.0, 1 << 20, 0), (instant(60), noise(0.5)))

    assert found.start_utc_ns > instant(120).utc_ns


def test_of_too_much_the_oldest_goes(tmp_path):
    sounds = [(instant(100 - n), noise(1.0, n)) for n in range(10)]

    found = keep(tmp_path / "state", Limits(24.0, 100_000, 0), *sounds)

    assert sum(each.n_bytes for each in found) <= 100_000
    newest = sounds[-1][0].utc_ns
    assert found[-1].start_utc_ns == newest // 1_000_000 * 1_000_000


def test_a_disk_without_room_keeps_nothing(tmp_path, monkeypatch):
    state = tmp_path / "state"
    assert keep(state, LIMITS, (instant(60), noise(0.5)))
    monkeypatch.setattr(module, "has_room", lambda *_: False)

    assert keep(state, LIMITS, (instant(), noise(0.5))) == []


def test_a_disk_that_refuses_stops_nobody(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    (state / DIRECTORY).write_text("no directory")

    assert keep(state, LIMITS, (instant(), noise(0.5))) == []


def test_hearing_never_waits_for_the_disk(tmp_path, monkeypatch):
    """A disk that takes its time costs rejected sound; were hearing to wait, this would hang."""
    disk_goes_on = threading.Event()
    monkeypatch.setattr(RejectedSounds, "_write", lambda *_: disk_goes_on.wait())
    with RejectedSounds(tmp_path, LIMITS) as kept:
        for _ in range(10 * module.MAX_WAITING):
            kept.keep("mic", instant(), noise(0.01), 0.4, RejectedBecause.SHORT)
        assert kept._waiting.qsize() == module.MAX_WAITING
        disk_goes_on.set()


@pytest.mark.parametrize("name", ["notes.flac", "20261124.38.unsure.mic.flac", "a.b.c.d.flac"])
def test_a_file_of_someone_else_is_left_alone(tmp_path, name):
    state = tmp_path / "state"
    (state / DIRECTORY).mkdir(parents=True)
    (state / DIRECTORY / name).write_bytes(b"x")

    assert keep(state, Limits(1.0, 1, 0)) == []
    assert (state / DIRECTORY / name).exists()
