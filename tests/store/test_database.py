"""How the database is opened, and what its errors say."""

import multiprocessing
import os
import stat

import apsw
import pytest

from edge_asr.errors import StoreError
from edge_asr.store import Store, database
from edge_asr.store.database import Database
from tests.store.speech import say, write_down


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_every_commit_is_durable_and_nothing_else_is_trusted(tmp_path):
    opened = Database(tmp_path / "log.sqlite3")
    settings = {
        "journal_mode": "wal",
        "synchronous": 2,
        "wal_autocheckpoint": 100,
        "journal_size_limit": 1048576,
        "foreign_keys": 1,
        "trusted_schema": 0,
        "cell_size_check": 1,
        "busy_timeout": 5000,
    }
    assert {name: opened.row(f"PRAGMA {name}")[0] for name in settings} == settings
    opened.close()


def test_files_are_for_their_owner_only(store, state_dir):
    umask = os.umask(0)
    try:
        utterance = say(store)
    finally:
        os.umask(umask)
    assert mode(state_dir) == 0o700
    assert mode(state_dir / utterance.audio_path) == 0o600
    for name in ("log.sqlite3", "log.sqlite3-wal", "log.sqlite3-shm"):
        assert mode(state_dir / name) == 0o600
    assert mode(state_dir / "audio") == 0o700


def test_a_directory_that_was_there_keeps_its_rights(tmp_path):
    tmp_path.chmod(0o750)
    Store.open(tmp_path).__exit__(None, None, None)
    assert mode(tmp_path) == 0o750


def test_an_old_sqlite_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(apsw, "sqlite_lib_version", lambda: "3.40.1")
    with pytest.raises(StoreError, match=r"SQLite 3\.40\.1 is too old"):
        Database(tmp_path / "log.sqlite3")


def test_the_sqlite_on_board_is_new_enough():
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    assert found >= database.MIN_SQLITE


def test_a_file_that_is_no_database_is_named(state_dir):
    state_dir.mkdir()
    (state_dir / "log.sqlite3").write_bytes(b"this is not a database, whatever its name says" * 99)
    with pytest.raises(StoreError, match="not a database"):
        Store.open(state_dir)


def test_a_store_that_does_not_exist_is_one_sentence(state_dir):
    with pytest.raises(StoreError, match="nothing was recorded here yet"):
        Store.open(state_dir, readonly=True)
    assert not state_dir.exists()


def test_a_state_directory_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"Not a directory|File exists"):
        Store.open(tmp_path / "file" / "state")


def test_a_writer_that_waits_too_long_says_so(store, state_dir, monkeypatch):
    monkeypatch.setattr(database, "BUSY_TIMEOUT_MS", 50)
    impatient = Database(state_dir / "log.sqlite3")
    with (
        store._database.transaction(),
        pytest.raises(StoreError, match="another process holds"),
        impatient.transaction(),
    ):
        pass
    impatient.close()


def write_a_lot(store, utterance):
    for _ in range(200):
        write_down(store, utterance, text="word " * 500)


def test_a_full_disk_says_so_and_harms_nothing(store):
    utterance = say(store)
    store._database.rows("PRAGMA max_page_count = 1")  # SQLite's own way to be full
    with pytest.raises(StoreError, match="the disk is full"):
        write_a_lot(store, utterance)
    n_written = len(store.transcripts.versions(utterance.utterance_id))
    store._database.rows("PRAGMA max_page_count = 1000000")
    assert write_down(store, utterance).version == n_written + 1
    assert store._database.row("PRAGMA integrity_check") == ("ok",)


def test_a_reader_cannot_write(store, state_dir):
    utterance = say(store)
    with (
        Store.open(state_dir, readonly=True) as reader,
        pytest.raises(StoreError, match="read-only"),
    ):
        write_down(reader, utterance)


def test_a_reader_sees_what_is_committed_and_never_blocks_a_writer(store, state_dir):
    with Store.open(state_dir, readonly=True) as reader:
        for n in range(1, 40):
            write_down(store, say(store, n_samples=400, seed=n), text=f"number {n}")
            entries = list(reader.log.entries())
            assert len(entries) == n
            assert entries[-1].transcript.recognition.text == f"number {n}"


def fail_half_way(database):
    with database.transaction():
        database.rows("INSERT INTO gaps VALUES (1, 'mic', 'muted', 0, 0, '', 'rtc', 1.0, '')")
        raise ZeroDivisionError


def test_a_transaction_that_fails_leaves_nothing(store):
    with pytest.raises(ZeroDivisionError):
        fail_half_way(store._database)
    assert store.gaps.between() == []
    say(store)  # and the connection is of use


def open_store(state_dir, barrier):
    barrier.wait()
    with Store.open(state_dir) as store:
        say(store, n_samples=100)


def test_processes_that_make_the_store_at_the_same_moment_all_get_it(state_dir):
    fork = multiprocessing.get_context("fork")
    for attempt in range(5):
        directory = state_dir / str(attempt)
        barrier = fork.Barrier(6)
        processes = [fork.Process(target=open_store, args=(directory, barrier)) for _ in range(6)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        assert [process.exitcode for process in processes] == [0] * 6
        with Store.open(directory, readonly=True) as reader:
            assert reader.transcripts.backlog().n == 6


def test_a_database_that_was_moved_away_takes_nothing_more(store, state_dir):
    """What went into it would be parted from its sound, which goes to the old place."""
    say(store)
    state_dir.rename(state_dir.with_name("elsewhere"))
    with pytest.raises(StoreError, match="moved, removed or replaced"):
        say(store)
    Store.open(state_dir).__exit__(None, None, None)
    with pytest.raises(StoreError, match="moved, removed or replaced"):
        say(store)
