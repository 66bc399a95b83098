"""What a person wrote in the place of what a model had heard."""

import dataclasses
import time

import pytest

from edge_asr.errors import CorrectionError
from edge_asr.records import HUMAN, Word
from edge_asr.store.log import Filter
from edge_asr.store.passes import Pass
from edge_asr.word_times import words_moved
from tests.store.speech import recognition, say, write_down


def correct(store, utterance, text, parent_version=1):
    return store.corrections.add(
        utterance.utterance_id,
        text,
        parent_version=parent_version,
        created_utc_ns=time.time_ns(),
    )


def test_a_correction_is_a_version_that_stands_and_the_old_one_stays(store):
    utterance = say(store)
    write_down(store, utterance, "pump seven is leaking")
    correction = correct(store, utterance, "Pump 7 is leaking.")

    assert (correction.version, correction.parent_version, correction.bundle) == (2, 1, HUMAN)
    assert store.transcripts.latest(utterance.utterance_id) == correction
    texts = [v.recognition.text for v in store.transcripts.versions(utterance.utterance_id)]
    assert texts == ["pump seven is leaking", "Pump 7 is leaking."]
    assert [entry.transcript for entry in store.log.last(5)] == [correction]


def test_what_a_model_writes_later_does_not_stand_above_what_a_person_wrote(store):
    utterance = say(store)
    write_down(store, utterance, "pump seven is leaking")
    correction = correct(store, utterance, "Pump 7 is leaking.")
    write_down(store, utterance, "bump heaven is speaking", bundle="larger")
    polished = Pass("text", "cd" * 32, "ef" * 32, reads_text=True)
    store.transcripts.add_of_pass(
        utterance.utterance_id,
        recognition("Pump seven is leaking!"),
        polished,
        parent_version=1,
        is_shown=True,
        created_utc_ns=time.time_ns(),
    )

    assert store.transcripts.latest(utterance.utterance_id) == correction
    assert [entry.transcript for entry in store.log.entries()] == [correction]
    assert store.log.search("speaking", limit=5) == []
    assert len(store.log.search("leaking", limit=5)) == 1
    heard = store.log.last(1, Filter(from_sound=True))[0]
    assert heard.transcript.recognition.text == "bump heaven is speaking"


def test_a_correction_of_a_correction_stands(store):
    utterance = say(store)
    write_down(store, utterance)
    correct(store, utterance, "Pump 7 is leaking.")
    second = correct(store, utterance, "Pump 17 is leaking.", parent_version=2)
    assert store.transcripts.latest(utterance.utterance_id) == second


def test_two_people_who_correct_the_same_version_do_not_overwrite_each_other(store):
    utterance = say(store)
    write_down(store, utterance)
    correct(store, utterance, "Pump 7 is leaking.")
    with pytest.raises(CorrectionError, match="version 2 stands for utterance 1 by now, not 1"):
        correct(store, utterance, "Pump 8 is leaking.")


def test_the_same_text_is_no_correction(store):
    utterance = say(store)
    write_down(store, utterance, "pump seven")
    with pytest.raises(CorrectionError, match="nothing was corrected"):
        correct(store, utterance, "pump seven")


def test_what_could_not_be_transcribed_can_be_written_by_hand(store):
    utterance = say(store)
    written = correct(store, utterance, "Pump 7.", parent_version=None)
    assert written.version == 1
    assert store.transcripts.pending() is None


def test_redacted_words_do_not_come_back_by_a_correction(store):
    utterance = say(store)
    write_down(store, utterance)
    store.integrity.redact(utterance, "asked for")
    with pytest.raises(CorrectionError, match="redacted"):
        correct(store, utterance, "pump seven", parent_version=None)


def test_a_correction_is_in_the_chain(store):
    utterance = say(store)
    write_down(store, utterance)
    before = store.integrity.head().seq
    correct(store, utterance, "Pump 7.")
    assert store.integrity.head().seq == before + 1


HEARD = (
    Word("pump", 0.1, 0.4),
    Word("seven", 0.5, 0.9),
    Word("is", 1.0, 1.1),
    Word("leaking", 1.2, 1.8),
)


def test_corrected_words_keep_the_times_of_those_that_were_heard():
    moved = words_moved("Pump 7 is not leaking.", HEARD)
    assert [word.text for word in moved] == ["Pump", "7", "is", "not", "leaking."]
    times = [(word.start_s, word.end_s) for word in moved]
    assert times == [(0.1, 0.4), (0.5, 0.9), (1.0, 1.1), (1.1, 1.1), (1.2, 1.8)]


def test_words_in_the_place_of_one_share_its_time():
    moved = words_moved("pump number seventeen is leaking", HEARD)
    assert [(w.text, w.start_s, w.end_s) for w in moved[1:3]] == [
        ("number", 0.5, 0.7),
        ("seventeen", 0.7, 0.9),
    ]
    assert moved[-1] == HEARD[-1]


def test_words_are_not_made_up_where_none_were_timed(store):
    assert words_moved("Pump 7.", ()) == ()
    utterance = say(store)
    timed = dataclasses.replace(recognition("pump seven is leaking"), words=HEARD)
    store.transcripts.add(
        utterance.utterance_id, timed, bundle="ctc", bundle_sha256="ab" * 32, created_utc_ns=1
    )
    corrected = correct(store, utterance, "Pump seven is leaking")
    assert [word.start_s for word in corrected.recognition.words] == [0.1, 0.5, 1.0, 1.2]
