"""What correction rules change is a version of its own, and never a person's."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from edge_asr.correcting import Correcting
from edge_asr.numerals import NUMERALS, Numerals
from edge_asr.recognize import Recognized, recognize
from edge_asr.records import (
    HUMAN,
    ClockQuality,
    EndReason,
    Instant,
    Recognition,
    Request,
    Task,
    Word,
)
from edge_asr.rewriting import Rewriting
from edge_asr.rules import RULES, Rule, Rules
from edge_asr.second_pass import Added
from edge_asr.store import Store
from edge_asr.store.passes import Pass

START = Instant(1_700_000_000_000_000_000, 5_000_000_000, "this-boot", ClockQuality.RTC)
HEARD = Recognition(
    "Stop the cam ban.",
    "en",
    0.9,
    Task.TRANSCRIBE,
    0.1,
    -0.2,
    ("low_probability",),
    (Word("Stop", 0.0, 0.2), Word("the", 0.2, 0.3), Word("cam", 0.3, 0.5), Word("ban.", 0.5, 0.8)),
    ctc_max_entropy=0.3,
)
KANBAN = Rules((Rule("cam ban", "Kanban"),))


class Recognizer:
    """Hears the same in everything."""

    class bundle:  # noqa: N801 (stands for an attribute)
        name = "tiny"
        sha256 = "0" * 64

    def check(self, request):
        pass

    def transcribe(self, _waveform, _request):
        return HEARD


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as opened:
        yield opened


def say(store):
    recording = store.utterances.begin("mic", START)
    recording.append(np.full(8000, 0.1, np.float32))
    return store.utterances.close(recording, n_samples=8000, reason=EndReason.PAUSE)


def run(store, rules, *numerals):
    """Run the loop until nothing is pending; return its events."""
    events = []
    correcting = Correcting(store, Rewriting((*numerals, rules)), events.append)
    with store.recognizing():
        correcting.settle()
        recognize(
            store,
            Recognizer(),
            Request(),
            observe=correcting.observe,
            alive=lambda: None,
            stop=threading.Event(),
            until_idle=True,
        )
    return events


def test_a_correction_is_a_version_that_says_where_it_came_from(store):
    utterance = say(store)

    recognized, added = run(store, KANBAN)

    assert isinstance(recognized, Recognized)
    assert isinstance(added, Added)
    first, second = store.transcripts.versions(utterance.utterance_id)
    assert first.recognition == HEARD
    assert second == added.transcript == store.transcripts.latest(utterance.utterance_id)
    assert (second.bundle, second.bundle_sha256) == (RULES, KANBAN.sha256)
    assert second.parent_version == 1
    corrected = second.recognition
    assert corrected.text == "Stop the Kanban."
    assert corrected.flags == ("low_probability",)
    assert (corrected.avg_logprob, corrected.ctc_max_entropy) == (None, None)
    assert corrected.words[-1] == Word("Kanban.", 0.3, 0.8)


def test_a_text_that_no_rule_changes_gets_no_version(store):
    utterance = say(store)

    assert len(run(store, Rules((Rule("pump", "valve"),)))) == 1
    assert len(store.transcripts.versions(utterance.utterance_id)) == 1


def test_a_correction_that_a_power_cut_prevented_is_made_at_the_next_start(store):
    utterance = say(store)
    run(store, Rules())

    (added,) = run(store, KANBAN)

    assert added.transcript.recognition.text == "Stop the Kanban."
    assert run(store, KANBAN) == []
    assert len(store.transcripts.versions(utterance.utterance_id)) == 2


def test_what_a_second_pass_wrote_is_corrected_too(store):
    utterance = say(store)
    run(store, Rules())
    polished = Pass("polisher", "1" * 64, "2" * 64, reads_text=True)
    version = store.transcripts.add_of_pass(
        utterance.utterance_id,
        HEARD,
        polished,
        parent_version=1,
        is_shown=True,
        created_utc_ns=1,
    )
    events = []

    Correcting(store, Rewriting((KANBAN,)), events.append).observe(Added(utterance, version))

    assert [event.transcript.version for event in events] == [2, 3]
    assert events[1].transcript.parent_version == 2


def test_numbers_become_digits_before_the_rules_each_in_a_version_of_its_own(store, monkeypatch):
    said = replace(HEARD, text="Stop the cam ban twenty-three.", words=())
    monkeypatch.setattr(Recognizer, "transcribe", lambda *_: said)
    utterance = say(store)

    run(store, Rules((Rule("cam ban 23", "Kanban-23"),)), Numerals())

    versions = store.transcripts.versions(utterance.utterance_id)
    assert [(v.bundle, v.parent_version, v.recognition.text) for v in versions] == [
        ("tiny", None, "Stop the cam ban twenty-three."),
        (NUMERALS, 1, "Stop the cam ban 23."),
        (RULES, 2, "Stop the Kanban-23."),
    ]
    assert versions[1].bundle_sha256 == Numerals().sha256


def test_steps_that_a_power_cut_prevented_follow_the_one_that_was_made(store, monkeypatch):
    said = replace(HEARD, text="Stop twenty-three cam bans.", words=())
    monkeypatch.setattr(Recognizer, "transcribe", lambda *_: said)
    utterance = say(store)
    run(store, Rules(), Numerals())

    (added,) = run(store, Rules((Rule("cam bans", "twenty Kanbans"),)), Numerals())

    assert added.transcript.recognition.text == "Stop 23 twenty Kanbans."
    assert added.transcript.parent_version == 2
    assert run(store, KANBAN, Numerals()) == []
    assert len(store.transcripts.versions(utterance.utterance_id)) == 3


def test_a_persons_words_stay_as_they_are(store):
    utterance = say(store)
    run(store, Rules())
    store.corrections.add(
        utterance.utterance_id, "The cam ban, I said.", parent_version=1, created_utc_ns=1
    )

    assert run(store, KANBAN) == []
    assert store.transcripts.latest(utterance.utterance_id).bundle == HUMAN
