"""Whatever the state directory holds, a store goes on: at the second start at the latest."""

import json
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr import clock
from edge_asr.errors import DatabaseDamagedError, EdgeAsrError
from edge_asr.records import Gap, GapKind
from edge_asr.store import DATABASE, Store
from edge_asr.store.database import Database
from edge_asr.store.headers import UID
from edge_asr.store.mending import mend, note_suspicion
from edge_asr.verify_log import check_export
from tests.hostile.mutation import HOSTILE, is_one_sentence, mutations_of
from tests.store.speech import say, write_down

N = 20


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """Fill a store with twenty utterances, their texts, a gap and a watch, and close it."""
    state = tmp_path_factory.mktemp("hostile") / "state"
    with Store.open(state) as store:
        watch = store.watches.begin("mic", clock.now())
        for n in range(N):
            write_down(store, say(store, n_samples=200, seed=n), f"number {n} " + "word " * 60)
        store.gaps.add("mic", Gap(GapKind.OVERFLOW, clock.now(), 0.5, "late"))
        watch.end()
    assert mend(state) is None
    return state


def start(state):
    """Do what the two loops do at a start and in their first seconds."""
    mend(state)
    with Store.open(state) as store, store.listening("mic"), store.recognizing():
        store.utterances.recover()
        watch = store.watches.begin("mic", clock.now())
        say(store, n_samples=300, seed=99)
        while (waiting := store.transcripts.pending()) is not None:
            store.transcripts.begin_attempt(waiting.utterance_id)
            store.utterances.waveform(waiting)
            store.transcripts.end_attempt()
            write_down(store, waiting, "again")
        assert len(list(store.log.entries())) > 0
        store.log.search("number", limit=5)
        store.alarms.active()
        watch.end()


def sounds(state):
    return {f"audio/{path.relative_to(state / 'audio')}" for path in state.glob("audio/*/*/*/*")}


@HOSTILE
@given(data=st.data())
def test_a_changed_database_ends_a_start_once_at_most_and_costs_no_sound(original, tmp_path, data):
    state = tmp_path / "state"
    shutil.rmtree(state, ignore_errors=True)
    shutil.copytree(original, state)
    content = data.draw(mutations_of((original / DATABASE).read_bytes()))
    (state / DATABASE).write_bytes(content)
    try:
        start(state)
    except DatabaseDamagedError as error:
        is_one_sentence(error)
        note_suspicion(state)  # as the loops do
        start(state)
    database = Database(state / DATABASE, readonly=True)
    known = {path for (path,) in database.rows("SELECT audio_path FROM utterances")}
    database.close()
    assert sounds(original) <= sounds(state) <= known


@HOSTILE
@given(data=st.data())
def test_a_changed_open_utterance_is_recovered_or_kept_aside(tmp_path, data):
    state = tmp_path / "state"
    shutil.rmtree(state, ignore_errors=True)
    with Store.open(state) as store:
        recording = store.utterances.begin("mic", clock.now())
        recording.append(say_noise())
        recording.release()
        (path,) = (state / "open").glob("*.part")
        content = data.draw(mutations_of(path.read_bytes()))
        path.write_bytes(content)
        done = store.utterances.recover()
        for problem in done.problems:
            is_one_sentence(problem.why)
        assert not list((state / "open").glob("*.part"))
        for utterance in done.recovered:
            assert UID.fullmatch(utterance.uid)
            assert len(store.utterances.waveform(utterance)) == utterance.n_samples
        kept = list((state / "damaged").glob("*.part"))
        if content and not done.recovered and kept:
            assert kept[0].read_bytes() == content


def say_noise():
    from tests.store.speech import noise

    return noise(4_000, seed=5)


HOSTILE_PATHS = ["../../secret", "/etc/hostname", "audio/../../secret", "", ".", "open/x.part"]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_a_row_that_names_another_file_reaches_nothing(original, tmp_path, path):
    state = tmp_path / "deep" / "state"
    shutil.copytree(original, state)
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    with Store.open(state) as store:
        store._database.rows("UPDATE utterances SET audio_path = ? WHERE id = 3", (path,))
        with pytest.raises(DatabaseDamagedError, match="no place of the sound"):
            store.utterances.find(3)
        store._database.rows("INSERT INTO unlinking VALUES (?)", (path,))
        store.utterances.recover()
        assert secret.read_bytes() == b"secret"
        found = []
        store.integrity.verify(found.append)
        assert any("no place for it" in finding for finding in found)
    assert mend(state, whole=True) is not None
    start(state)


@HOSTILE
@given(data=st.data())
def test_a_changed_export_is_a_list_of_findings(original, data):
    with Store.open(original, readonly=True) as store:
        whole = "\n".join(store.integrity.export())
    text = data.draw(mutations_of(whole.encode())).decode("utf-8", "replace")
    for finding in check_export(text.split("\n"), "", ""):
        assert "Traceback" not in finding


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "seq", "head", "table", "id", "digest", "salt", "content"]),
            inner,
        )
    ),
    max_leaves=12,
)


@HOSTILE
@given(lines=st.lists(JSON, max_size=6))
def test_an_export_of_anything_is_a_list_of_findings(lines):
    told = list(check_export([json.dumps(line) for line in lines], "", ""))
    assert any(not finding.startswith("ok ") for finding in told)


def test_the_errors_of_a_store_are_those_that_the_program_prints():
    assert issubclass(DatabaseDamagedError, EdgeAsrError)
