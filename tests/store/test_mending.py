"""A damaged database is set aside, and what could be read of it is in a new one."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys

import pytest

from edge_asr import clock, verify_log
from edge_asr.errors import DatabaseDamagedError, StoreError
from edge_asr.records import Gap, GapKind
from edge_asr.store import DATABASE, Store
from edge_asr.store.damage import find_damage
from edge_asr.store.database import Database
from edge_asr.store.mending import mend, note_suspicion
from edge_asr.store.verification import Kept
from edge_asr.store.wal import wal_damage
from tests.store.speech import say, write_down

N = 120
PAGE = 4096


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Fill a store with 120 utterances that have text, and close it."""
    state = tmp_path_factory.mktemp("original") / "state"
    assert mend(state) is None
    with Store.open(state) as store:
        for n in range(N):
            write_down(store, say(store, n_samples=200, seed=n), f"number {n} " + "word " * 40)
            if n % 10 == 0:
                store.gaps.add("mic", Gap(GapKind.OVERFLOW, clock.now(), 0.5, "late"))
    assert mend(state) is None
    return state


@pytest.fixture
def state(original, tmp_path):
    return shutil.copytree(original, tmp_path / "state")


def pages_of(state, name):
    """Return the pages of a table or an index, the root first."""
    database = Database(state / DATABASE, readonly=True)
    (root,) = database.row("SELECT rootpage FROM sqlite_schema WHERE name = ?", (name,))
    database.close()
    content = (state / DATABASE).read_bytes()
    return [root, *children(content, root)]


def children(content, number):
    """Return the pages below a page of a B-tree."""
    page = content[(number - 1) * PAGE : number * PAGE]
    if page[0] not in (2, 5):
        return
    n_cells = int.from_bytes(page[3:5], "big")
    pointers = [int.from_bytes(page[12 + 2 * i : 14 + 2 * i], "big") for i in range(n_cells)]
    for child in [*(page[p : p + 4] for p in pointers), page[8:12]]:
        yield int.from_bytes(child, "big")
        yield from children(content, int.from_bytes(child, "big"))


def overwrite(path, offset, content):
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def zero_page(state, number):
    overwrite(state / DATABASE, (number - 1) * PAGE, bytes(PAGE))


def findings(state):
    found = []
    with Store.open(state, readonly=True) as store:
        verified = store.integrity.verify(found.append)
    return found, verified


def texts(state):
    with Store.open(state, readonly=True) as store:
        return [e.transcript.recognition.text.split(" word")[0] for e in store.log.entries()]


def sounds(state):
    with Store.open(state, readonly=True) as store:
        rows = store._database.rows("SELECT audio_path FROM utterances ORDER BY id")
    return [path for (path,) in rows]


def starts(state):
    with Store.open(state, readonly=True) as store:
        return store._database.rows(
            "SELECT audio_path, source, start_utc_ns, start_monotonic_ns, boot_id, clock_quality"
            " FROM utterances"
        )


def is_sound(state):
    database = Database(state / DATABASE, readonly=True)
    try:
        assert database.rows("PRAGMA integrity_check") == [("ok",)]
        assert database.rows("PRAGMA foreign_key_check") == []
    finally:
        database.close()


def test_a_whole_database_is_left_alone(state):
    before = (state / DATABASE).read_bytes()
    assert mend(state) is None
    assert mend(state, whole=True) is None
    assert (state / DATABASE).read_bytes() == before
    assert not (state / "damaged").exists()


def test_where_nothing_was_recorded_nothing_is_done(tmp_path):
    assert mend(tmp_path / "none") is None
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("which", ["first", "middle", "last"])
def test_a_lost_page_of_texts_costs_the_texts_on_it_alone(state, which):
    _, *leaves = pages_of(state, "transcripts")
    at = {"first": 0, "middle": len(leaves) // 2, "last": -1}[which]
    zero_page(state, leaves[at])
    mended = mend(state)
    is_sound(state)
    kept = texts(state)
    assert N - 20 < len(kept) < N
    assert kept == [f"number {n}" for n in range(N) if f"number {n}" in kept]
    assert mended.n_lost == N - len(kept)
    # The chain names each lost text, and nothing else.
    found, _ = findings(state)
    assert len(found) == N - len(kept)
    assert all("its content was lost with a damaged database" in finding for finding in found)
    with Store.open(state) as store:
        assert store.transcripts.backlog().n == N - len(kept)  # they are transcribed again
        waiting = store.transcripts.pending()
        lost_id = waiting.utterance_id
        write_down(store, waiting, "again")
        assert store._database.row("SELECT max(id) FROM transcripts")[0] > N  # no number twice
        assert [e.transcript.recognition.text for e in store.log.search("again", limit=9)]
    assert f"number {lost_id - 1}" not in kept


def test_a_lost_page_of_utterances_leaves_their_sound_to_be_found(state):
    _, *leaves = pages_of(state, "utterances")
    before = starts(state)
    zero_page(state, leaves[1])
    mended = mend(state)
    is_sound(state)
    assert sorted(starts(state)) == sorted(before)  # the files tell it
    assert mended.n_adopted > 0
    found, _ = findings(state)
    assert found
    assert all("lost with a damaged database" in finding for finding in found)


@pytest.mark.parametrize("name", ["sqlite_autoindex_utterances_1", "utterances_by_boot"])
def test_a_lost_page_of_an_index_costs_nothing(state, name):
    zero_page(state, pages_of(state, name)[-1])
    mended = mend(state)
    is_sound(state)
    assert (mended.n_lost, mended.n_adopted) == (0, 0)
    assert texts(state) == [f"number {n}" for n in range(N)]
    assert findings(state)[0] == []
    assert "nothing is lost" in str(mended)


def test_lost_entries_of_the_chain_are_a_hole_that_shows(state):
    _, *leaves = pages_of(state, "chain")
    zero_page(state, leaves[1])
    mended = mend(state)
    is_sound(state)
    assert texts(state) == [f"number {n}" for n in range(N)]
    found, _ = findings(state)
    assert len(found) == 1
    assert "were lost with a damaged database" in found[0]
    first, last = [int(word) for word in found[0].split() if word.isdecimal()]
    assert mended.n_lost == last - first + 1 > 10


def test_a_chain_that_lost_its_end_goes_on_behind_the_hole(state):
    with Store.open(state, readonly=True) as store:
        end = store.integrity.head()
    _, *leaves = pages_of(state, "chain")
    zero_page(state, leaves[-1])
    mend(state)
    is_sound(state)
    with Store.open(state, readonly=True) as store:
        found = []
        store.integrity.verify(found.append)
        assert len(found) == 1
        assert f"to {end.seq} were lost with a damaged database" in found[0]
        assert store.integrity.head().seq > end.seq
        # The head that was kept elsewhere is gone with them, which shows, too.
        store.integrity.verify(found.append, Kept(str(end)))
        assert "the head that was kept elsewhere is not in this log" in found[-1]


def test_the_stand_alone_verifier_says_the_same(state):
    _, *leaves = pages_of(state, "chain")
    zero_page(state, leaves[1])
    mend(state)
    with Store.open(state, readonly=True) as store:
        told = list(verify_log.check_export(store.integrity.export(), "", ""))
    assert [line for line in told if not line.startswith("ok")] == findings(state)[0]


@pytest.mark.parametrize("n_bytes", [100, 512, PAGE])
@pytest.mark.parametrize("kind", ["zeros", "noise"])
def test_a_lost_header_costs_nothing_thanks_to_the_copy_of_the_list_of_tables(state, n_bytes, kind):
    rng = random.Random(1)
    overwrite(state / DATABASE, 0, bytes(n_bytes) if kind == "zeros" else rng.randbytes(n_bytes))
    mended = mend(state)
    is_sound(state)
    assert (mended.n_lost, mended.n_adopted) == (0, 0)
    assert texts(state) == [f"number {n}" for n in range(N)]
    assert findings(state)[0] == []
    assert not list(state.glob(f"{DATABASE}.reading*"))


@pytest.mark.parametrize("at", [0, 17, 18, 19, 20, 22, 31, 35, 39, 43, 47, 55, 59, 62, 63, 71])
def test_any_byte_of_the_header_may_be_another(state, at):
    path = state / DATABASE
    was = path.read_bytes()[at]
    overwrite(path, at, bytes([was ^ random.Random(at).randrange(1, 256)]))
    mend(state)
    Store.open(state).close()
    is_sound(state)
    assert texts(state) == [f"number {n}" for n in range(N)]
    assert findings(state)[0] == []


@pytest.mark.parametrize(
    "content", [b"", b"this is a letter to my aunt, and no database" * 200, None]
)
def test_of_a_database_that_is_none_the_sound_is_found_again(state, content):
    before = sounds(state)
    if content is None:
        (state / DATABASE).unlink()
    else:
        (state / DATABASE).write_bytes(content)
    mended = mend(state)
    is_sound(state)
    assert mended.n_adopted == N
    assert sorted(sounds(state)) == sorted(before)
    if content:
        (kept,) = (state / "damaged").glob("log-*.sqlite3")
        assert kept.read_bytes() == content
    assert mend(state) is None


def test_a_file_cut_short_keeps_what_is_left(state):
    path = state / DATABASE
    os.truncate(path, path.stat().st_size * 2 // 3 + 100)
    before = {f"audio/{p.relative_to(state / 'audio')}" for p in state.glob("audio/*/*/*/*.flac")}
    mend(state)
    is_sound(state)
    assert set(sounds(state)) == before
    assert len(texts(state)) > 10
    assert all("lost with a damaged" in f or "content was" in f for f in findings(state)[0])


def leave_a_wal(state):
    """Write ten utterances, and die with them in the write-ahead log alone."""
    code = (
        "import os, pathlib, sys\n"
        "from edge_asr.store import Store\n"
        "from tests.store.speech import say, write_down\n"
        "store = Store.open(pathlib.Path(sys.argv[1]))\n"
        "store._database.rows('PRAGMA wal_autocheckpoint = 0')\n"
        "for n in range(10):\n"
        "    write_down(store, say(store, n_samples=200, seed=1000 + n), f'late {n}')\n"
        "os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(state)], check=False)
    assert done.returncode == -signal.SIGKILL
    wal = state / f"{DATABASE}-wal"
    assert wal.stat().st_size > 20 * PAGE
    return wal


def test_a_whole_write_ahead_log_is_no_damage(state):
    wal = leave_a_wal(state)
    assert wal_damage(wal) is None
    # Nor is the end of one that a power cut left half written.
    os.truncate(wal, wal.stat().st_size - 1000)
    assert wal_damage(wal) is None
    assert mend(state) is None
    assert texts(state)[-1].startswith("late")


@pytest.mark.parametrize("where", ["header", "first frame", "middle"])
def test_a_damaged_write_ahead_log_is_noticed_and_its_sound_is_found(state, where):
    before = {f"audio/{p.relative_to(state / 'audio')}" for p in state.glob("audio/*/*/*/*.flac")}
    wal = leave_a_wal(state)
    offset = {"header": 5, "first frame": 500, "middle": wal.stat().st_size // 2}[where]
    overwrite(wal, offset, b"\xff" * 200)
    after = {f"audio/{p.relative_to(state / 'audio')}" for p in state.glob("audio/*/*/*/*.flac")}
    mended = mend(state)
    assert "write-ahead log is damaged" in mended.why
    is_sound(state)
    assert set(sounds(state)) == after > before
    assert texts(state)[:N] == [f"number {n}" for n in range(N)]
    assert mend(state) is None


def test_a_write_ahead_log_of_another_database_is_kept_out(original, state, tmp_path):
    """SQLite would take it for this one's, and this one would become the other."""
    other = tmp_path / "other"
    Store.open(other).close()
    wal = leave_a_wal(other)
    shutil.copyfile(wal, state / wal.name)
    mended = mend(state)
    assert mended.why == "its write-ahead log is of another database"
    assert (mended.n_lost, mended.n_adopted) == (0, 0)
    assert texts(state) == texts(original)
    assert findings(state)[0] == []
    (kept,) = (state / "damaged").glob("*-wal")
    assert kept.read_bytes() == wal.read_bytes()


def test_of_a_write_ahead_log_that_is_gone_the_sound_is_found(state):
    before = sounds(state)
    leave_a_wal(state).unlink()
    (state / f"{DATABASE}-shm").unlink()
    assert mend(state) is None  # what is left is whole, and older
    with Store.open(state) as store:
        assert len(store.utterances.recover().recovered) == 10
        (alarm,) = store.alarms.active()
        assert alarm.code == "LOG-DAMAGED"
        assert alarm.detail.startswith("10 utterances had sound and no row")
    assert len(sounds(state)) == len(before) + 10
    assert findings(state)[0] == []


def change(state, old, new):
    """Change bytes in the middle of the database, as a worn card does."""
    content = (state / DATABASE).read_bytes()
    assert len(old) == len(new)
    assert content.count(old) >= 1
    overwrite(state / DATABASE, content.index(old), new)


@pytest.mark.parametrize(
    ("old", "new"),
    [(b"transcribe", b"transgribe"), (b"number 3 word", b"number 3 w\xffrd"), (b"pause", b"pausd")],
)
def test_a_row_that_nobody_has_written_ends_a_reader_once(state, old, new):
    change(state, old, new)
    assert find_damage(state / DATABASE) is None  # each page is a page
    with pytest.raises(DatabaseDamagedError, match=r"damaged.*edge-asr"):
        texts(state)
    note_suspicion(state)
    mended = mend(state)
    assert "is not what was written" in mended.why or "codec can't decode" in mended.why
    is_sound(state)
    assert mended.n_lost == 1 or "pause" in str(old)
    assert N - 2 <= len(texts(state)) < N
    assert len(sounds(state)) == N


def test_a_row_that_cannot_be_read_is_left_out_though_its_entry_says_nothing(state):
    with Store.open(state) as store:
        store._database.rows("UPDATE transcripts SET task = 'sing' WHERE id = 5")
        store._database.rows(
            "UPDATE chain SET fact = 'x' WHERE fact = 'transcripts' AND fact_id = 5"
        )
    assert "transcripts 5" in mend(state, whole=True).why
    assert len(texts(state)) == N - 1
    assert mend(state, whole=True) is None


def test_a_changed_word_is_found_when_all_is_looked_at(state):
    change(state, b"number 3 word", b"number 3 lord")
    assert mend(state) is None
    mended = mend(state, whole=True)
    assert (mended.n_lost, mended.n_adopted) == (1, 0)
    assert "number 3" not in texts(state)


def test_a_changed_letter_in_the_list_of_tables_costs_nothing(state):
    change(state, b"CREATE TABLE transcripts", b"CREATE TABLE transcribts")
    assert mend(state).why == "its list of tables was changed"
    is_sound(state)
    assert texts(state) == [f"number {n}" for n in range(N)]


def test_what_was_done_is_in_the_log_and_an_alarm_says_it_until_somebody_looks(state):
    _, *leaves = pages_of(state, "transcripts")
    zero_page(state, leaves[0])
    mended = mend(state)
    with Store.open(state) as store:
        (detail,) = store._database.row("SELECT detail FROM events WHERE kind = 'salvaged'")
        told = json.loads(detail)
        assert told["why"] == mended.why
        assert told["set_aside"] == mended.set_aside.name
        assert told["lost"].keys() == {"transcripts"}
        (alarm,) = store.alarms.active()
        assert (alarm.code, alarm.source) == ("LOG-DAMAGED", "")
        assert mended.set_aside.name in alarm.detail
    assert (state / "damaged" / mended.set_aside.name).is_file()


def test_where_files_have_one_name_only_the_damaged_one_is_copied(state, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")  # FAT and its like

    zero_page(state, pages_of(state, "transcripts")[1])
    damaged = (state / DATABASE).read_bytes()
    monkeypatch.setattr(os, "link", refuse)
    assert mend(state) is not None
    (kept,) = (state / "damaged").glob("log-*.sqlite3")
    assert kept.read_bytes() == damaged
    is_sound(state)


def test_a_second_damage_is_another_file_and_another_event(state):
    for _ in range(2):
        zero_page(state, pages_of(state, "transcripts")[1])
        assert mend(state) is not None
    assert len(list((state / "damaged").glob("log-*.sqlite3"))) == 2
    with Store.open(state, readonly=True) as store:
        assert store._database.row("SELECT count(*) FROM events WHERE kind = 'salvaged'") == (2,)
    assert all("lost with a damaged database" in f for f in findings(state)[0])


def test_what_was_removed_before_is_not_put_down_to_the_damage(state):
    with Store.open(state) as store:
        database = store._database
        database.rows("DELETE FROM transcripts WHERE id = 60")  # by an intruder
        database.empty_write_ahead_log()
    zero_page(state, pages_of(state, "utterances_by_boot")[-1])
    assert mend(state) is not None
    (finding,) = findings(state)[0]
    assert finding.endswith("(transcripts 60): its content was removed, and no entry says why")


def test_a_redaction_stays_one(state):
    with Store.open(state) as store:
        store.integrity.redact(store.utterances.find(7), "asked for")
    zero_page(state, pages_of(state, "utterances_by_boot")[-1])
    mend(state)
    found, verified = findings(state)
    assert found == []
    assert verified.n_excused == 1
    assert "number 6" not in texts(state)


def test_a_process_that_has_the_old_one_open_ends_at_its_next_write(state):
    with Store.open(state) as store:
        zero_page(state, pages_of(state, "utterances_by_boot")[-1])
        recording = store.utterances.begin("mic", clock.now())
        assert mend(state) is not None
        with pytest.raises(StoreError, match="moved, removed or replaced"):
            write_down(store, store.utterances.find(1), "too late")
        recording.release()
    assert mend(state, whole=True) is None  # closing the old one harmed nothing
    assert "too late" not in texts(state)


@pytest.mark.parametrize("at", range(0, 60, 4))
def test_a_kill_while_it_is_mended_loses_nothing(state, at):
    """It dies at every so many calls that change the state directory."""
    zero_page(state, pages_of(state, "transcripts")[1])
    code = (
        "import os, pathlib, sys\n"
        "from edge_asr.store.mending import mend\n"
        "left = [int(sys.argv[2])]\n"
        "def counted(call):\n"
        "    def wrapped(*args, **named):\n"
        "        left[0] -= 1\n"
        "        if left[0] < 0: os._exit(9)\n"
        "        return call(*args, **named)\n"
        "    return wrapped\n"
        "for name in ('link', 'replace', 'unlink', 'fsync', 'open', 'mkdir'):\n"
        "    setattr(os, name, counted(getattr(os, name)))\n"
        "mend(pathlib.Path(sys.argv[1]))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(state), str(at)], check=False)
    assert done.returncode in (0, 9)
    mend(state)
    is_sound(state)
    assert mend(state, whole=True) is None
    kept = texts(state)
    assert N - 20 < len(kept) < N
    assert len(sounds(state)) == N
    with Store.open(state, readonly=True) as store:
        assert store._database.row("SELECT count(*) FROM events WHERE kind = 'salvaged'") == (1,)


def test_whoever_meets_damage_says_so_and_has_the_next_start_look_at_all(state, monkeypatch):
    zero_page(state, pages_of(state, "transcripts")[-2])
    monkeypatch.setattr("edge_asr.store.damage.START_CHECK_S", -1.0)  # a log too large for it
    monkeypatch.setattr("edge_asr.store.database._PROGRESS_STEPS", 10)
    assert find_damage(state / DATABASE) is None
    with pytest.raises(DatabaseDamagedError, match="listen and recognize set it aside"):
        texts(state)
    assert find_damage(state / DATABASE) is not None
    assert mend(state) is not None
    assert not list(state.glob("*.suspect"))


def test_a_newer_database_is_not_touched(state):
    with Store.open(state) as store:
        store._database.rows("ALTER TABLE transcripts ADD COLUMN mood TEXT")
        store._database.rows("PRAGMA user_version = 99")
        store._database.empty_write_ahead_log()
    zero_page(state, pages_of(state, "transcripts")[1])
    with pytest.raises(StoreError, match="newer edge-asr"):
        mend(state)


def test_an_older_database_is_brought_up_to_date_on_the_way(state):
    """As it was before the second pass came."""
    with Store.open(state) as store:
        for column in ("parent_version", "request_sha256", "is_shown"):
            store._database.rows(f"ALTER TABLE transcripts DROP COLUMN {column}")
        store._database.rows("DROP TABLE pass_failures")
        store._database.rows("PRAGMA user_version = 6")
        store._database.empty_write_ahead_log()
    zero_page(state, pages_of(state, "utterances_by_boot")[-1])
    mend(state)
    is_sound(state)
    assert texts(state) == [f"number {n}" for n in range(N)]
    assert findings(state)[0] == []
