"""Old sound goes when it must, the oldest first, and never what is still needed."""

import subprocess

import pytest

from edge_asr import clock
from edge_asr.records import ClockQuality, Instant
from edge_asr.store import Store, text_retention
from edge_asr.store.retention import Limits
from edge_asr.store.verification import Kept
from tests.store.speech import say, write_down

DAY_NS = 86_400 * 10**9


def fill(store, n, *, transcribed=True):
    utterances = [say(store, seed=number, n_samples=16_000) for number in range(n)]
    for utterance in utterances if transcribed else ():
        write_down(store, utterance)
    return utterances


def step_all(store, limits, moment=None):
    retention = store.retention(limits)
    removed = []
    while pruned := retention.step(moment or clock.now()):
        removed += pruned.utterance_ids
    return removed


def findings(store):
    found = []
    store.integrity.verify(found.append)
    return found


def test_the_oldest_sound_goes_first_and_its_text_stays(store, state_dir):
    utterances = fill(store, 6)
    size = (state_dir / utterances[0].audio_path).stat().st_size
    removed = step_all(store, Limits(max_sound_bytes=3 * size + size // 2))
    assert removed == [1, 2, 3]
    there = [(state_dir / utterance.audio_path).exists() for utterance in utterances]
    assert there == [False, False, False, True, True, True]
    assert len(store.transcripts.versions(1)) == 1
    assert findings(store) == []


def test_what_is_not_transcribed_or_is_held_stays(store):
    fill(store, 2, transcribed=False)
    for _ in range(3):
        store.transcripts.record_failure(1, "it crashed")  # now it is quarantined
    fill(store, 4)
    store.integrity.hold([4], "accident")
    assert step_all(store, Limits(max_sound_bytes=1)) == [3, 5, 6]
    store.integrity.release([4], "closed")
    assert step_all(store, Limits(max_sound_bytes=1)) == [4]
    assert findings(store) == []


def test_without_limits_nothing_goes(store):
    fill(store, 3)
    assert step_all(store, Limits()) == []


def test_a_dry_run_removes_nothing(store, state_dir):
    (utterance, *_) = fill(store, 2)
    pruned = store.retention(Limits(max_sound_bytes=1)).step(clock.now(), dry_run=True)
    assert pruned.utterance_ids == (1, 2)
    assert (state_dir / utterance.audio_path).exists()


def at(days, boot="a", quality=ClockQuality.SYNCHRONISED, jump_days=0):
    """Return a moment ``days`` after the boot ``a`` began."""
    since = {"a": 0, "b": 5}[boot]
    monotonic_ns = round((days - since) * DAY_NS)
    return Instant(round((20_000 + days + jump_days) * DAY_NS), monotonic_ns, boot, quality)


def run_days(store, limits, moments):
    retention = store.retention(limits)
    return [store_id for moment in moments for store_id in retention.step(moment).utterance_ids]


def test_sound_goes_by_age_once_it_is_certainly_older(store):
    limits = Limits(max_age_days=3)
    fill(store, 2)
    assert run_days(store, limits, [at(0), at(1.5)]) == []
    fill(store, 1)
    assert run_days(store, limits, [at(2.5), at(3.5)]) == []
    assert run_days(store, limits, [at(4.2)]) == [1, 2]
    assert run_days(store, limits, [at(5.9)]) == []
    assert run_days(store, limits, [at(6.1)]) == [3]


@pytest.mark.parametrize("jump_days", [400, -10])
def test_a_clock_that_jumps_makes_nothing_older(store, jump_days):
    limits = Limits(max_age_days=3)
    fill(store, 2)
    assert run_days(store, limits, [at(0), at(0.1), at(0.2, jump_days=jump_days), at(0.3)]) == []


def test_between_boots_only_a_synchronised_clock_counts(state_dir):
    limits = Limits(max_age_days=3)
    for quality, expected in ((ClockQuality.SYNCHRONISED, [1]), (ClockQuality.RTC, [])):
        with Store.open(state_dir / quality) as store:
            fill(store, 1)
            moments = [at(0, quality=quality), at(5.1, "b", quality)]
            assert run_days(store, limits, moments) == expected


def texts(store):
    return [entry.transcript.recognition.text for entry in store.log.entries()]


def test_text_goes_by_age_with_its_sound_and_leaves_a_tombstone(store, state_dir):
    limits = Limits(max_text_age_days=3)
    utterances = fill(store, 2)
    write_down(store, utterances[0], "the valve is stuck")
    kept = str(store.integrity.head())
    assert run_days(store, limits, [at(0), at(1.5)]) == []
    fill(store, 1)
    assert run_days(store, limits, [at(4.2)]) == [1, 2]
    assert not (state_dir / utterances[0].audio_path).exists()
    assert len(texts(store)) == 1
    assert store.log.search("valve", limit=9) == []
    assert b"valve" not in (state_dir / "log.sqlite3").read_bytes()
    assert store.integrity.redacted_because(1) == "text older than 3 days"
    found = []
    verified = store.integrity.verify(found.append, Kept(kept))
    assert (found, verified.n_excused) == ([], 3)
    # What is gone is neither transcribed again nor removed twice.
    assert store.transcripts.pending() is None
    assert run_days(store, limits, [at(7.9)]) == []
    assert run_days(store, limits, [at(8.1)]) == [3]


def test_text_that_is_held_or_not_there_yet_does_not_go(store):
    limits = Limits(max_text_age_days=3)
    fill(store, 3)
    fill(store, 1, transcribed=False)
    store.integrity.hold([2], "accident")
    assert run_days(store, limits, [at(0), at(1.5), at(4.9)]) == [1, 3]
    assert len(texts(store)) == 1
    assert store.transcripts.pending().utterance_id == 4
    store.integrity.release([2], "closed")
    assert run_days(store, limits, [at(5.0)]) == [2]
    assert findings(store) == []


def test_text_stays_where_only_sound_has_an_age(store):
    fill(store, 2)
    assert run_days(store, Limits(max_age_days=3), [at(0), at(4.9)]) == [1, 2]
    assert len(texts(store)) == 2
    assert run_days(store, Limits(max_age_days=3, max_text_age_days=3), [at(5)]) == [1, 2]
    assert texts(store) == []
    assert findings(store) == []


def test_a_version_that_is_added_while_text_goes_is_not_left_behind(store, monkeypatch):
    """It would be a text whose utterance says that it has none."""
    limits = Limits(max_text_age_days=3)
    (utterance,) = fill(store, 1)
    look = text_retention.entries_of

    def look_while_somebody_writes(*arguments):
        found = look(*arguments)
        monkeypatch.setattr(text_retention, "entries_of", look)
        write_down(store, utterance, "another version")
        return found

    monkeypatch.setattr(text_retention, "entries_of", look_while_somebody_writes)
    assert run_days(store, limits, [at(0), at(4.5)]) == []
    assert len(store.transcripts.versions(1)) == 2
    assert run_days(store, limits, [at(4.6)]) == [1]
    assert store.transcripts.versions(1) == []
    assert findings(store) == []


def test_a_kill_between_the_tombstone_and_the_file_takes_the_sound_at_the_next_start(
    store, state_dir, monkeypatch
):
    (utterance,) = fill(store, 1)
    monkeypatch.setattr(text_retention, "unlink_noted", lambda *_args: 0)
    assert run_days(store, Limits(max_text_age_days=3), [at(0), at(4.5)]) == [1]
    assert (state_dir / utterance.audio_path).exists()
    store.utterances.recover()
    assert not (state_dir / utterance.audio_path).exists()
    assert findings(store) == []


def test_a_small_disk_never_fills_up(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", tmp_path], check=False
    )
    if mounted.returncode:
        pytest.skip("file systems can be mounted by root only")
    try:
        with Store.open(tmp_path / "state") as store:
            retention = store.retention(Limits(min_free_bytes=1 << 30))
            for number in range(300):
                write_down(store, say(store, seed=number, n_samples=32_000))
                while retention.step(clock.now()):
                    pass
            assert len(list((tmp_path / "state/audio").rglob("*.flac"))) < 200
            assert findings(store) == []
            assert len(list(store.log.entries())) == 300
    finally:
        subprocess.run(["umount", "-l", tmp_path], check=True)
