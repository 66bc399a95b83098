"""Reading the log: in order, in pages, by words."""

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge_asr import clock
from edge_asr.records import Gap, GapKind
from edge_asr.store import log as log_module
from edge_asr.store.log import Filter
from edge_asr.store.query import MAX_CHARACTERS, parse_query
from tests.store.speech import say, write_down


def texts(entries):
    return [entry.transcript.recognition.text for entry in entries]


def found(store, typed, **wanted):
    return texts(store.log.search(typed, Filter(**wanted), limit=50))


@pytest.fixture
def talk(store):
    """Fill the store with five utterances in four languages, one of them corrected later."""
    for text, language, source in (
        ("The pump seven is leaking oil.", "en", "press"),
        ("Die Grüße kommen über den Kanban-Zettel S7-1200.", "de", "press"),
        ("La señal está apagada, ¿verdad?", "es", "gate"),
        ("ポンプが漏れています。東京支店に電話してください", "ja", "gate"),
    ):
        write_down(store, say(store, source, n_samples=200), text, language)
    corrected = say(store, "gate", n_samples=200)
    write_down(store, corrected, "Please collet the police.", "en")
    write_down(store, corrected, "Please call the police.", "en", bundle="base")
    return store


@pytest.mark.parametrize(
    ("typed", "n"),
    [
        ("pump", 1),
        ("PUMP Leaking", 1),
        ("leaking pump", 1),
        ('"pump seven"', 1),
        ('"seven pump"', 0),
        ("leak", 0),
        ("leak*", 1),
        ('"is leak"*', 1),
        ("grusse", 0),
        ("gruße", 1),
        ("senal", 1),
        ("S7-1200", 1),
        ("kanban zettel", 1),
        ("the", 2),
        ("pump police", 0),
        ("", 0),
        ("*", 0),
        ('"', 0),
        ("- ! ?", 0),
        ("pump -", 1),
    ],
)
def test_words_phrases_and_beginnings_are_found(talk, typed, n):
    assert len(found(talk, typed)) == n


@pytest.mark.parametrize(
    ("typed", "n"),
    [
        ("漏れ", 1),
        ("東京", 1),
        ("東京 漏れ", 1),
        ("東京 police", 0),
        ("大阪", 0),
        ("%", 0),
        ("ポ_プ", 0),
    ],
)
def test_writing_without_spaces_is_found_by_any_part_of_it(talk, typed, n):
    assert len(found(talk, typed)) == n


def test_only_the_latest_version_answers(talk):
    assert found(talk, "collet") == []
    assert found(talk, "call") == ["Please call the police."]


def test_the_newest_comes_first_and_no_more_than_wanted(store):
    for n in range(5):
        write_down(store, say(store, n_samples=200), f"pump {n}")
    assert texts(store.log.search("pump", limit=3)) == ["pump 4", "pump 3", "pump 2"]


def test_a_search_is_narrowed_by_language_source_and_time(talk):
    assert len(found(talk, "the", source="press")) == 1
    assert len(found(talk, "the", source="nowhere")) == 0
    assert len(found(talk, "the", language="de")) == 0
    assert len(found(talk, "the", since_utc_ns=time.time_ns() + 10**9)) == 0
    assert len(found(talk, "東京", source="press")) == 0


@given(st.text(max_size=60))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
def test_whatever_is_typed_is_no_error(talk, typed):
    talk.log.search(typed, limit=5)


@given(st.text(alphabet='"*()^:-+{}~NEAR ANDORNOTpum\\%_漏\0\udc80', max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=400)
def test_no_syntax_of_the_index_is_an_error(talk, typed):
    talk.log.search(typed, limit=5)


def test_a_very_long_search_is_cut(talk):
    assert talk.log.search("pump " * 100_000, limit=5)
    assert len(parse_query("x " * MAX_CHARACTERS).terms) <= MAX_CHARACTERS / 2


def test_a_text_that_is_changed_or_removed_is_found_as_it_is(talk):
    """Redaction and retention will need it."""
    talk._database.rows("UPDATE transcripts SET text = 'redacted' WHERE utterance_id = 1")
    assert found(talk, "pump") == []
    assert found(talk, "redacted") == ["redacted"]
    talk._database.rows("DELETE FROM transcripts WHERE utterance_id = 1")
    assert found(talk, "redacted") == []


def test_entries_come_in_the_order_they_were_committed(talk, monkeypatch):
    monkeypatch.setattr(log_module, "PAGE", 2)
    ids = [entry.utterance.utterance_id for entry in talk.log.entries()]
    assert ids == [1, 2, 3, 4, 5]
    versions = [
        (entry.transcript.utterance_id, entry.transcript.version)
        for entry in talk.log.entries(all_versions=True)
    ]
    assert versions == [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1), (5, 2)]
    assert texts(talk.log.entries())[-1] == "Please call the police."


def test_a_reader_that_stops_half_way_holds_nothing_up(talk):
    reader = talk.log.entries()
    next(reader)
    write_down(talk, say(talk, n_samples=200), "one more")
    assert texts(reader)[-1] == "one more"


def test_the_last_ones_are_the_latest_versions(talk):
    assert texts(talk.log.last(2))[-1] == "Please call the police."
    assert len(talk.log.last(2)) == 2
    assert talk.log.last(0) == []


def test_what_comes_is_followed_without_gaps_or_repeats(store, monkeypatch):
    monkeypatch.setattr(log_module, "PAGE", 2)
    write_down(store, say(store, n_samples=200), "before")
    position = store.log.position()
    assert store.log.since(position) == ([], position)
    utterance = say(store, n_samples=200)
    for n in range(5):
        write_down(store, utterance, f"take {n}")
    seen = []
    while True:
        more, position = store.log.since(position)
        if not more:
            break
        seen += texts(more)
    assert seen == [f"take {n}" for n in range(5)]


def test_gaps_are_found_by_the_time_they_touch(store):
    now = clock.now()
    lost = Gap(GapKind.OVERFLOW, now, 2.5, "the reader was late")
    store.gaps.add("mic", lost)
    store.gaps.add("gate", Gap(GapKind.NO_DEVICE, now.shifted(10 * 10**9), 60.0))
    assert [found.source for found in store.gaps.between()] == ["mic", "gate"]
    assert [found.gap for found in store.gaps.between(source="mic")] == [lost]
    at = now.utc_ns
    assert len(store.gaps.between(at + 2 * 10**9, at + 3 * 10**9)) == 1
    assert len(store.gaps.between(at + 3 * 10**9, at + 4 * 10**9)) == 0
    assert len(store.gaps.between(at + 69 * 10**9)) == 1
