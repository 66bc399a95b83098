"""The schema grows by steps, each of them whole."""

import apsw
import pytest

from edge_asr.errors import StoreError
from edge_asr.store import Store
from edge_asr.store.database import Database
from edge_asr.store.migrating import migrate
from edge_asr.store.schema import MIGRATIONS
from tests.store.speech import say, write_down


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path / "log.sqlite3")
    yield opened
    opened.close()


def tables(database):
    return {row[0] for row in database.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")}


def test_an_empty_database_becomes_the_newest(database):
    migrate(database)
    assert database.user_version == len(MIGRATIONS)
    assert {"utterances", "transcripts", "failures", "gaps", "words"} <= tables(database)


def test_migrating_again_changes_nothing(database):
    migrate(database)
    before = database.rows("SELECT * FROM sqlite_schema")
    migrate(database)
    assert database.rows("SELECT * FROM sqlite_schema") == before


def test_a_step_keeps_what_is_there(state_dir):
    with Store.open(state_dir) as store:
        utterance = say(store)
        write_down(store, utterance)

    def add_a_column(database):
        database.rows("ALTER TABLE utterances ADD COLUMN held INTEGER NOT NULL DEFAULT 0")

    database = Database(state_dir / "log.sqlite3")
    migrate(database, (*MIGRATIONS, add_a_column))
    assert database.user_version == len(MIGRATIONS) + 1
    assert database.row("SELECT uid, held FROM utterances") == (utterance.uid, 0)
    database.close()
    with pytest.raises(StoreError, match="use the newer edge-asr"):
        Store.open(state_dir)
    with pytest.raises(StoreError, match="use the newer edge-asr"):
        Store.open(state_dir, readonly=True)


def test_text_from_before_words_had_times_is_read_as_it_was(state_dir):
    path = state_dir / "log.sqlite3"
    state_dir.mkdir()
    old = Database(path)
    migrate(old, MIGRATIONS[:1])
    old.script(
        "INSERT INTO utterances"
        " VALUES (1, '20261124T093015123-1f3a9c', 'mic', 0, 0, 'b', 'rtc', 160, 'pause',"
        " 'audio/2026/11/24/20261124T093015123-1f3a9c.flac', 'f', 9);"
        "INSERT INTO transcripts (utterance_id, version, text, language, task, decode_s, flags,"
        " bundle, bundle_sha256, created_utc_ns)"
        " VALUES (1, 1, 'old words', 'en', 'transcribe', 0.5, '[]', 'tiny', 'ab', 7);"
    )
    old.close()
    with Store.open(state_dir) as store:
        found = store.transcripts.latest(1).recognition
        assert (found.text, found.words, found.ctc_max_entropy) == ("old words", (), None)
        assert [entry.transcript.version for entry in store.log.search("words", limit=5)] == [1]


def test_a_step_that_fails_leaves_the_version_before_it(database):
    migrate(database)
    broken = "CREATE TABLE extra (x) STRICT; CREATE TABLE nonsense (;"
    with pytest.raises(StoreError):
        migrate(database, (*MIGRATIONS, broken))
    assert database.user_version == len(MIGRATIONS)
    assert "extra" not in tables(database)


def test_a_reader_does_not_migrate(tmp_path):
    apsw.Connection(str(tmp_path / "log.sqlite3")).execute("CREATE TABLE something (x)")
    with pytest.raises(StoreError, match="by an older edge-asr"):
        Store.open(tmp_path, readonly=True)
