"""What is next, however much waits."""

import pytest

from edge_asr.store.failures import MAX_TRIES
from tests.store.speech import say, write_down_first


def quarantine(store, utterance):
    for _ in range(MAX_TRIES):
        store.transcripts.record_failure(utterance.utterance_id, "wrong")


@pytest.fixture
def asked(store, monkeypatch):
    """What SQLite is asked from now on."""
    database, asked = store.transcripts._database, []
    ask = database.rows

    def rows(sql, parameters=()):
        asked.append((sql, parameters))
        return ask(sql, parameters)

    monkeypatch.setattr(database, "rows", rows)
    return asked


def test_neither_the_backlog_nor_the_log_is_read_to_find_what_is_next(store, asked):
    """Each statement begins where an index says, and goes no further than its first row."""
    killed, *_ = [say(store, source) for source in ("mic", "hall", "mic", "hall")]
    store.transcripts.failures._count(killed.utterance_id, "killed", 0, tries=0, kills=1)
    asked.clear()
    assert store.transcripts.pending().utterance_id == 2
    assert store.transcripts.pending(skip={2, 3, 4}) == killed
    statements = list(asked)
    plans = [
        [step[-1] for step in store.transcripts._database.rows(f"EXPLAIN QUERY PLAN {sql}", values)]
        for sql, values in statements
    ]
    of_utterances = [step for plan in plans for step in plan if " u " in f"{step} "]
    assert not [step for step in of_utterances if step.startswith("SCAN")]
    found = [step for step in of_utterances if "utterances_by_source (source=? AND id>?)" in step]
    assert len(found) == sum("u.source = ?" in sql for sql, _ in statements) == 8
    sorted_in_memory = [plan for plan in plans if any("TEMP B-TREE" in step for step in plan)]
    assert all("SCAN f" in plan for plan in sorted_in_memory)  # failures are few


def test_each_source_is_looked_at_from_where_it_was_left(store, asked):
    """So neither what is transcribed nor what is quarantined is passed over again each time."""
    bad, first, second = say(store), say(store), say(store)
    other = say(store, source="hall")
    quarantine(store, bad)
    write_down_first(store, first)
    write_down_first(store, other)
    store.transcripts.pending()
    asked.clear()
    assert store.transcripts.pending() == second
    begun_at = {v[1]: v[0] for sql, v in asked if "u.source = ?" in sql}
    assert begun_at == {"mic": second.utterance_id, "hall": other.utterance_id + 1}
    assert store.transcripts.backlog().n_quarantined == 1


def test_a_source_that_was_never_heard_before_is_found(store):
    assert store.transcripts.pending() is None
    new = say(store, source="hall")
    assert store.transcripts.pending() == new
    write_down_first(store, new)
    assert store.transcripts.pending() is None
    newest = say(store, source="a name before the other")
    assert store.transcripts.pending() == newest
