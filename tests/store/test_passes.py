"""Second passes: what lacks one, the versions they add, and what failed in them."""

import time

import pytest

from edge_asr.clock import boot_id
from edge_asr.store import Store
from edge_asr.store.attempts import MARK
from edge_asr.store.log import Filter
from edge_asr.store.passes import MAX_PASS_KILLS, Pass
from tests.store.speech import recognition, say, write_down

POLISH = Pass("smol", "cd" * 32, "ef" * 32, reads_text=True)
OTHER_PROMPT = Pass("smol", "cd" * 32, "01" * 32, reads_text=True)
REFINE = Pass("granite", "23" * 32, "45" * 32, reads_text=False)


def add(store, made_by, utterance, text="Pump seven is leaking.", *, parent=None, is_shown=True):
    return store.transcripts.add_of_pass(
        utterance.utterance_id,
        recognition(text),
        made_by,
        parent_version=parent,
        is_shown=is_shown,
        created_utc_ns=time.time_ns(),
    )


def taken(queue):
    """Return the ids of what the queue gives, in its order."""
    return [found.utterance.utterance_id for found in iter(queue.take, None)]


def test_what_was_said_lately_comes_first_and_what_comes_meanwhile_before_the_rest(store):
    for _ in range(3):
        write_down(store, say(store))
    queue = store.passes.queue(POLISH)
    assert queue.take().utterance.utterance_id == 3
    write_down(store, say(store))
    write_down(store, say(store))
    assert taken(queue) == [4, 5, 2, 1]
    assert queue.take() is None
    write_down(store, say(store))
    assert taken(queue) == [6]


def test_what_has_no_text_lacks_no_polish_but_may_be_heard_again(store):
    say(store)
    silent = say(store)
    write_down(store, silent, text="")
    assert taken(store.passes.queue(POLISH)) == []
    assert taken(store.passes.queue(REFINE)) == [silent.utterance_id]


def test_a_pass_is_done_once_whoever_does_it(store, state_dir):
    utterance = say(store)
    write_down(store, utterance)
    with Store.open(state_dir) as other:
        assert add(other, POLISH, utterance, parent=1).version == 2
    assert add(store, POLISH, utterance, parent=1) is None
    assert taken(store.passes.queue(POLISH)) == []
    assert taken(store.passes.queue(OTHER_PROMPT)) == [utterance.utterance_id]


def test_a_version_says_what_it_was_made_from(store):
    utterance = say(store)
    first = write_down(store, utterance)
    polished = add(store, POLISH, utterance, parent=1)
    assert (first.parent_version, polished.parent_version) == (None, 1)
    assert polished.request_sha256 == POLISH.request_sha256
    assert store.transcripts.versions(utterance.utterance_id) == [first, polished]
    assert store.transcripts.latest(utterance.utterance_id) == polished


def test_a_new_transcription_lacks_the_polish_that_the_old_one_had(store):
    utterance = say(store)
    write_down(store, utterance)
    add(store, POLISH, utterance, parent=1)
    refined = add(store, REFINE, utterance, "pump eleven is leaking")
    assert taken(store.passes.queue(REFINE)) == []
    found = store.passes.queue(POLISH).take()
    assert found.transcript == refined
    assert add(store, POLISH, utterance, "Pump eleven is leaking.", parent=3).version == 4
    assert taken(store.passes.queue(POLISH)) == []


def test_a_version_that_is_not_shown_is_kept_and_the_one_before_it_stands(store):
    utterance = say(store)
    first = write_down(store, utterance)
    add(store, POLISH, utterance, "la la la la", parent=1, is_shown=False)
    assert len(store.transcripts.versions(utterance.utterance_id)) == 2
    assert store.transcripts.latest(utterance.utterance_id) == first
    assert [entry.transcript for entry in store.log.last(5)] == [first]
    assert [entry.transcript for entry in store.log.entries()] == [first]
    assert len(list(store.log.entries(all_versions=True))) == 2
    assert store.log.search("la", limit=5) == []
    assert [entry.transcript for entry in store.log.since(0)[0]] == [first]
    assert taken(store.passes.queue(POLISH)) == [], "it would go wrong again"


def test_a_transcription_that_is_not_shown_is_not_polished(store):
    utterance = say(store)
    write_down(store, utterance)
    add(store, REFINE, utterance, "", is_shown=False)
    assert store.passes.queue(POLISH).take().transcript.version == 1


def test_the_transcription_stays_findable_beneath_the_polish(store):
    utterance = say(store)
    first = write_down(store, utterance, "pump seven um is leaking")
    polished = add(store, POLISH, utterance, "Pump seven is leaking.", parent=1)
    heard = Filter(from_sound=True)
    assert [entry.transcript for entry in store.log.entries()] == [polished]
    assert [entry.transcript for entry in store.log.entries(heard)] == [first]
    assert [entry.transcript for entry in store.log.last(1, heard)] == [first]
    assert store.log.search("um", limit=5) == []
    assert [entry.transcript for entry in store.log.search("um", heard, limit=5)] == [first]
    assert [e.transcript for e in store.log.since(0, from_sound=True)[0]] == [first]


def test_a_queue_may_be_of_some_utterances_alone(store):
    for source in ("mic", "gate", "mic"):
        write_down(store, say(store, source))
    wanted = Filter(source="mic")
    assert taken(store.passes.queue(POLISH, wanted)) == [3, 1]
    assert store.passes.queue(POLISH, wanted).backlog().n == 2


def test_three_failures_quarantine_an_utterance_for_this_pass_alone(store):
    utterance = say(store)
    write_down(store, utterance)
    queue = store.passes.queue(POLISH)
    for _ in range(3):
        queue.start_over()
        assert queue.take().utterance == utterance
        store.passes.record_failure(utterance.utterance_id, POLISH, "too long")
    queue.start_over()
    assert queue.take() is None
    assert (queue.backlog().n, queue.backlog().n_quarantined) == (0, 1)
    assert taken(store.passes.queue(OTHER_PROMPT)) == [utterance.utterance_id]
    assert store.transcripts.failures.all() == []


@pytest.mark.parametrize(
    ("crash", "patience"), [("", MAX_PASS_KILLS), ("Fatal Python error: Segmentation fault\n", 3)]
)
def test_what_kills_the_recognizer_in_a_second_pass_is_given_up_there_only(
    store, state_dir, crash, patience
):
    utterance = say(store)
    write_down(store, utterance)
    queue = store.passes.queue(POLISH)
    for _ in range(patience):
        queue.start_over()
        assert queue.take() is not None
        mark = f"{utterance.utterance_id} {boot_id()} {POLISH.key}\n{crash}"
        (state_dir / MARK).write_text(mark, encoding="ascii")
        with store.recognizing():
            pass
    queue.start_over()
    assert queue.take() is None
    assert store.transcripts.failures.of(utterance.utterance_id) is None


def test_a_mark_of_an_utterance_that_is_gone_is_harmless(store, state_dir):
    (state_dir / MARK).write_text(f"99 {boot_id()} {POLISH.key}\n", encoding="ascii")
    with store.recognizing():
        pass
    assert store.passes.queue(POLISH).backlog().n_quarantined == 0
