"""Closing an utterance, and repairing what a kill left: at every point, nothing is lost."""

import hashlib
import os
import resource

import numpy as np
import pytest

from edge_asr import clock
from edge_asr.audio import write_flac
from edge_asr.errors import StoreError
from edge_asr.records import EndReason
from edge_asr.store import Store, audio_files
from edge_asr.store.database import Database
from edge_asr.store.events import EventKind, events
from edge_asr.store.headers import Header
from edge_asr.store.recovery import Adopted, Postponed, Recovered, Removed, SetAside
from tests.store.speech import noise, say


def files_under(directory):
    return sorted(
        str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()
    )


def sounds_of(state_dir):
    """Return all that lies in open/ and audio/."""
    return [*files_under(state_dir / "open"), *files_under(state_dir / "audio")]


def test_a_closed_utterance_is_a_file_a_row_and_nothing_else(store, state_dir):
    recording = store.utterances.begin("mic", start := clock.now())
    recording.append(noise(9_000))
    utterance = store.utterances.close(recording, n_samples=8_000, reason=EndReason.LONGEST)
    assert (utterance.source, utterance.start, utterance.n_samples) == ("mic", start, 8_000)
    assert utterance.end_reason is EndReason.LONGEST
    uid = utterance.uid
    assert utterance.audio_path == f"audio/{uid[:4]}/{uid[4:6]}/{uid[6:8]}/{uid}.flac"
    assert sounds_of(state_dir) == [utterance.audio_path.removeprefix("audio/")]
    content = (state_dir / utterance.audio_path).read_bytes()
    assert utterance.audio_sha256 == hashlib.sha256(content).hexdigest()
    np.testing.assert_array_equal(store.utterances.waveform(utterance), noise(9_000)[:8_000])
    assert store.utterances.find(utterance.utterance_id) == utterance
    assert store.utterances.find(uid) == utterance


def test_sound_that_was_changed_is_refused(store, state_dir):
    utterance = say(store)
    path = state_dir / utterance.audio_path
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(StoreError, match="does not match its checksum"):
        store.utterances.waveform(utterance)
    path.unlink()
    with pytest.raises(StoreError, match="No such file"):
        store.utterances.waveform(utterance)


def test_speech_that_was_none_leaves_nothing(store, state_dir):
    recording = store.utterances.begin("mic", clock.now())
    recording.append(noise(100))
    recording.discard()
    assert sounds_of(state_dir) == []
    assert store.transcripts.backlog().n == 0


class Killer:
    """Ends this process before or after the n-th thing it does to the disk."""

    def __init__(self, n, *, before):
        self._countdown = n
        self._before = before
        for name in ("fsync", "fdatasync", "ftruncate", "pwrite", "replace", "unlink", "mkdir"):
            setattr(os, name, self._wrapped(getattr(os, name)))
        Database.rows = self._wrapped(Database.rows)
        audio_files.write_flac = self._wrapped(audio_files.write_flac)

    def _wrapped(self, real):
        def wrapper(*args, **kwargs):
            self._countdown -= 1
            is_last = self._countdown == -1
            if is_last and self._before:
                os._exit(KILLED)
            result = real(*args, **kwargs)
            if is_last:
                os._exit(KILLED)
            return result

        return wrapper


KILLED = 9


def killed_at(n, before, prepare, work):
    """Do ``work`` in a process that ends at the n-th point; whether it ended there."""
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            subject = prepare()
            Killer(n, before=before)
            work(subject)
            status = 0
        finally:
            os._exit(status)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert status in {0, KILLED}
    return status == KILLED


def check_all_is_well(store, state_dir, n_samples, reasons):
    """Exactly one utterance, whole, and no traces of how it came to be."""
    assert store.transcripts.backlog().n == 1
    utterance = store.transcripts.pending()
    assert utterance.n_samples == n_samples
    assert utterance.end_reason in reasons
    np.testing.assert_array_equal(store.utterances.waveform(utterance), noise(n_samples))
    assert sounds_of(state_dir) == [utterance.audio_path.removeprefix("audio/")]
    again = store.utterances.recover()
    assert again.repairs == ()


def begun(directory, n_samples):
    store = Store.open(directory)
    recording = store.utterances.begin("mic", clock.now())
    recording.append(noise(n_samples))
    return store, recording


def left_behind(directory, n_samples):
    store, recording = begun(directory, n_samples)
    recording.release()
    return store


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_at_any_point_of_closing_loses_nothing(state_dir, before):
    """Each thing that closing does to the disk is the last one in turn."""

    def close(subject):
        store, recording = subject
        store.utterances.close(recording, n_samples=900, reason=EndReason.PAUSE)

    for n in range(100):
        directory = state_dir / str(n)
        was_killed = killed_at(n, before, lambda at=directory: begun(at, 1_000), close)
        with Store.open(directory) as store:
            assert store.utterances.recover().problems == ()
            n_samples = store.transcripts.pending().n_samples
            assert n_samples == 900 or (n_samples == 1_000 and n == 0)
            check_all_is_well(store, directory, n_samples, {EndReason.PAUSE, EndReason.RECOVERED})
        if not was_killed:
            break
    assert 15 < n < 99


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_at_any_point_of_the_repair_loses_nothing(state_dir, before):
    for n in range(100):
        directory = state_dir / str(n)
        was_killed = killed_at(
            n,
            before,
            lambda at=directory: left_behind(at, 700),
            lambda store: store.utterances.recover(),
        )
        with Store.open(directory) as store:
            store.utterances.recover()
            check_all_is_well(store, directory, 700, {EndReason.RECOVERED})
        if not was_killed:
            break
    assert 15 < n < 99


@pytest.mark.parametrize("before", [True, False])
def test_a_kill_at_any_point_of_a_beginning_leaves_nothing_in_the_way(state_dir, before):
    for n in range(100):
        directory = state_dir / str(n)
        was_killed = killed_at(
            n,
            before,
            lambda at=directory: Store.open(at),
            lambda store: store.utterances.begin("mic", clock.now()),
        )
        with Store.open(directory) as store:
            assert store.utterances.recover().problems == ()
            assert sounds_of(directory) == []
            assert store.transcripts.backlog().n == 0
        if not was_killed:
            break
    assert 4 <= n < 99


def test_what_another_process_is_recording_is_left_alone(store, state_dir):
    recording = store.utterances.begin("other", clock.now())
    recording.append(noise(300))
    with Store.open(state_dir) as other:
        assert other.utterances.recover().repairs == ()
    utterance = store.utterances.close(recording, n_samples=300, reason=EndReason.PAUSE)
    assert utterance.end_reason is EndReason.PAUSE


def test_an_utterance_of_any_source_is_recovered(store):
    recording = store.utterances.begin("a file named once", start := clock.now())
    recording.append(noise(300))
    recording.release()
    (repair,) = store.utterances.recover().repairs
    assert isinstance(repair, Recovered)
    assert repair.utterance.source == "a file named once"
    assert repair.utterance.start == start


def test_a_torn_first_line_is_kept_aside_and_told(store, state_dir):
    recording = store.utterances.begin("mic", clock.now())
    recording.append(noise(300))
    recording.release()
    content = recording.path.read_bytes()[20:]
    recording.path.write_bytes(content)
    report = store.utterances.recover()
    (repair,) = report.problems
    assert isinstance(repair, SetAside)
    assert repair.path == state_dir / "damaged" / recording.path.name
    assert repair.path.read_bytes() == content
    assert sounds_of(state_dir) == []
    assert store.utterances.recover().repairs == ()


def test_an_open_utterance_without_sound_is_removed(store, state_dir):
    store.utterances.begin("mic", clock.now()).release()
    (repair,) = store.utterances.recover().repairs
    assert isinstance(repair, Removed)
    assert sounds_of(state_dir) == []


def test_an_unfinished_flac_file_without_its_open_utterance_is_removed(store, state_dir):
    utterance = say(store)
    stray = (state_dir / utterance.audio_path).with_name("20200101T000000000-abcdef.flac.part")
    stray.write_bytes(b"fLaC")
    (repair,) = store.utterances.recover().repairs
    assert isinstance(repair, Removed)
    assert not stray.exists()
    assert (state_dir / utterance.audio_path).exists()


def test_a_flac_file_that_does_not_tell_its_source_is_adopted_by_its_name(store, state_dir):
    """As they were before files told it."""
    utterance = say(store, n_samples=8_000)
    path = state_dir / utterance.audio_path
    write_flac(path, noise(8_000))
    (state_dir / "log.sqlite3").rename(state_dir / "elsewhere")
    with Store.open(state_dir) as empty:
        (adopted,) = empty.utterances.recover().recovered
    assert (adopted.uid, adopted.source) == (utterance.uid, "unknown")
    assert adopted.start.utc_ns == utterance.start.utc_ns // 1_000_000 * 1_000_000


def test_a_flac_file_without_a_row_is_adopted(store, state_dir):
    """An older copy of the database was put back: only the sound is left of what was said."""
    utterance = say(store)
    for name in ("log.sqlite3", "log.sqlite3-wal", "log.sqlite3-shm"):
        (state_dir / name).unlink()
    with Store.open(state_dir) as empty:
        (repair,) = empty.utterances.recover().repairs
        assert isinstance(repair, Adopted)
        adopted = repair.utterance
        assert (adopted.uid, adopted.source) == (utterance.uid, utterance.source)
        assert adopted.start == utterance.start
        assert adopted.audio_sha256 == utterance.audio_sha256
        np.testing.assert_array_equal(empty.utterances.waveform(adopted), noise(8_000))
        assert empty.utterances.recover().repairs == ()


def test_a_flac_file_without_a_row_that_is_no_sound_is_kept_aside(store, state_dir):
    utterance = say(store)
    odd = (state_dir / utterance.audio_path).with_name(f"{utterance.uid[:-6]}000000.flac")
    odd.write_bytes(b"this is no sound")
    (repair,) = store.utterances.recover().repairs
    assert isinstance(repair, SetAside)
    assert repair.path.read_bytes() == b"this is no sound"


def test_files_that_are_none_of_ours_are_left_alone(store, state_dir):
    utterance = say(store)
    note = (state_dir / utterance.audio_path).with_name("notes.txt")
    note.write_text("mine")
    assert store.utterances.recover().repairs == ()
    assert note.read_text() == "mine"


def test_one_file_that_cannot_be_repaired_does_not_hold_up_the_others(store, state_dir):
    recordings = [store.utterances.begin("mic", clock.now()) for _ in range(2)]
    for recording in recordings:
        recording.append(noise(300))
        recording.release()
    first, second = sorted(recordings, key=lambda recording: recording.path)
    # A directory stands where the first one's FLAC file would be written.
    uid = first.header.uid
    blocked = state_dir / audio_files.audio_path(uid)
    blocked.with_suffix(".flac.part").mkdir(parents=True)
    report = store.utterances.recover()
    kinds = {type(repair) for repair in report.repairs}
    assert Postponed in kinds
    assert [utterance.uid for utterance in report.recovered] == [second.header.uid]
    assert first.path.exists()
    blocked.with_suffix(".flac.part").rmdir()
    assert [utterance.uid for utterance in store.utterances.recover().recovered] == [uid]


def test_a_full_disk_at_closing_keeps_the_open_utterance(store):
    recording = store.utterances.begin("mic", clock.now())
    recording.append(noise(16_000))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, limits[1]))
    try:
        with pytest.raises(StoreError, match=r"cannot be written|read back|is the disk full"):
            store.utterances.close(recording, n_samples=16_000, reason=EndReason.PAUSE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert recording.path.exists()
    utterance = store.utterances.close(recording, n_samples=16_000, reason=EndReason.PAUSE)
    np.testing.assert_array_equal(store.utterances.waveform(utterance), noise(16_000))


def test_closing_again_gives_the_same_file(state_dir):
    header = Header("20261124T093015123-1f3a9c", "mic", clock.now())
    first = audio_files.store_audio(state_dir, header, noise(8_000))
    assert audio_files.store_audio(state_dir, header, noise(8_000)) == first


def test_a_source_may_be_called_anything(store):
    """A sound file's name may hold bytes that are no text."""
    utterance = say(store, source=os.fsdecode(b"caf\xe9 \x00 'x'"))
    assert store.utterances.find(utterance.uid) == utterance


def test_the_log_says_what_a_repair_did(store):
    recording = store.utterances.begin("mic", clock.now())
    recording.append(noise(300))
    recording.release()
    store.utterances.begin("mic", clock.now()).release()
    store.utterances.recover()
    (event,) = events(store._database, EventKind.REPAIRED)
    kinds = [repair["repair"] for repair in event.detail["repairs"]]
    assert sorted(kinds) == ["recovered", "removed"]
    found = []
    store.integrity.verify(found.append)
    assert found == []
