"""Listening goes on while the disk is full, and what was said is there when there is room."""

import os
import subprocess
import threading
import time

import numpy as np
import pytest

from edge_asr.alarms import AlarmChange
from edge_asr.errors import DiskRefusesError, StoreError
from edge_asr.listen import Listener
from edge_asr.records import AudioChunk
from edge_asr.store import Store
from tests.test_listen import SETTINGS, LoudnessDetector, chunks, silence, tone, utterances

SENTENCE_S = 1.0
N_SENTENCES = 12


@pytest.fixture
def small_disk(tmp_path):
    """A file system of two megabytes."""
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", tmp_path], check=False
    )
    if mounted.returncode:
        pytest.skip("file systems can be mounted by root only")
    yield tmp_path
    subprocess.run(["umount", "-l", tmp_path], check=True)


def fill(path):
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(b"x" * 4096):
                pass
        except OSError:
            return


def sentences():
    for number in range(N_SENTENCES):
        yield tone(SENTENCE_S, 0.2 + number / 50)
        yield silence(0.6)


def listen_live(store, source, events):
    Listener(
        store, LoudnessDetector(), SETTINGS, source_name="mic", observe=events.append, live=True
    ).listen(source, alive=lambda: None)


def test_what_is_said_while_the_disk_is_full_is_stored_when_there_is_room(small_disk):
    filler, freed_at = small_disk / "filler", []
    sound = np.concatenate(list(sentences()))

    def free():
        freed_at.append(time.monotonic())
        filler.unlink()

    def source():
        for number, chunk in enumerate(chunks(sound)):
            if number == 20:
                fill(filler)
            if number == 100:
                threading.Timer(1.0, free).start()
            yield chunk
            time.sleep(0.005)

    events = []
    with Store.open(small_disk / "state") as store:
        listen_live(store, source(), events)
        stored = utterances(events)
        assert len(stored) == N_SENTENCES
        origin = min(u.start.monotonic_ns for u in stored)
        for number, utterance in enumerate(stored):
            begin_s = number * (SENTENCE_S + 0.6)
            waveform = store.utterances.waveform(utterance)
            loudest = 0.2 + number / 50
            assert np.abs(waveform).max() == pytest.approx(loudest, abs=0.001)
            assert (np.abs(waveform) > 0.01).sum() > 15_000
            assert (utterance.start.monotonic_ns - origin) / 1e9 == pytest.approx(begin_s, abs=0.1)
        assert _disk_alarms(store) == ("DISK-REFUSES", True)
        found = []
        store.integrity.verify(found.append)
        assert found == []
    assert freed_at


def _disk_alarms(store):
    (row,) = store._database.rows(
        "SELECT a.code, e.id IS NOT NULL FROM alarms a LEFT JOIN alarm_ends e ON e.alarm_id = a.id"
    )
    return row[0], bool(row[1])


def test_observers_hear_of_it_while_it_lasts(small_disk):
    told = threading.Event()
    filler = small_disk / "filler"

    def source():
        yield from chunks(tone(1.0))
        fill(filler)
        for chunk in chunks(*([tone(1.0), silence(0.6)] * 4)):
            yield chunk
            time.sleep(0.01)
        assert told.wait(20)
        filler.unlink()

    def observe(event):
        if isinstance(event, AlarmChange) and event.active:
            assert "disk is full" in event.detail or "No space" in event.detail
            told.set()

    with Store.open(small_disk / "state") as store:
        Listener(
            store, LoudnessDetector(), SETTINGS, source_name="mic", observe=observe, live=True
        ).listen(source(), alive=lambda: None)


def test_a_file_does_not_wait_for_a_full_disk(small_disk):
    def source():
        for number, chunk in enumerate(chunks(*sentences())):
            if number == 5:
                fill(small_disk / "filler")
            yield chunk

    with Store.open(small_disk / "state") as store, pytest.raises(DiskRefusesError):
        Listener(
            store, LoudnessDetector(), SETTINGS, source_name="file", observe=lambda _: None
        ).listen(source(), alive=lambda: None)


def test_an_error_that_time_does_not_mend_is_raised(tmp_path, monkeypatch):
    with Store.open(tmp_path / "state") as store:

        def refuse(*_args):
            raise StoreError("not a matter of time")

        monkeypatch.setattr(store.utterances, "begin", refuse)
        with pytest.raises(StoreError, match="not a matter"):
            listen_live(store, (c for c in chunks(*sentences())), [])


def test_a_slow_disk_does_not_hold_up_hearing(tmp_path, monkeypatch):
    """Every synchronisation takes 0.3 s; the source is asked for each chunk on time."""
    real = os.fsync, os.fdatasync

    def slowly(sync_file):
        def slow(descriptor):
            time.sleep(0.3)
            sync_file(descriptor)

        return slow

    late = []

    def source():
        due = time.monotonic()
        for chunk in chunks(*list(sentences())[:6]):
            late.append(time.monotonic() - due)
            assert isinstance(chunk, AudioChunk)
            yield chunk
            due += 0.02
            time.sleep(max(0.0, due - time.monotonic()))

    events = []
    with Store.open(tmp_path / "state") as store:
        monkeypatch.setattr(os, "fsync", slowly(real[0]))
        monkeypatch.setattr(os, "fdatasync", slowly(real[1]))
        listen_live(store, source(), events)
        monkeypatch.undo()
    assert len(utterances(events)) == 3
    assert sorted(late)[len(late) * 9 // 10] < 0.3
