"""The second pass in the recognizing loop, over a real store."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from types import SimpleNamespace

import pytest

from edge_asr.errors import ConfigError
from edge_asr.recognize import recognize
from edge_asr.recognizers.text import Completion
from edge_asr.records import Request, Task
from edge_asr.second_pass import (
    TRY_AGAIN_S,
    Added,
    PassFailed,
    Polisher,
    Prompt,
    Refiner,
    SecondPass,
    polishing,
    refining,
    similarity,
)
from edge_asr.store import Store
from edge_asr.store.passes import Pass
from edge_asr.thermal import HeatGuard, hottest_c
from tests.store.speech import recognition, say
from tests.test_recognize import Recognizer

PROMPT = Prompt("Rewrite: {text}")
BUNDLE = SimpleNamespace(name="smol", sha256="cd" * 32)
WANTED = polishing(BUNDLE, PROMPT)


class Model:
    """Answers as it was told, and keeps what it was asked."""

    def __init__(self, answer=lambda words: words.removeprefix("Rewrite: ").capitalize() + "."):
        self.answer = answer
        self.asked = []

    def complete(self, user, **_options):
        self.asked.append(user)
        found = self.answer(user)
        return found if isinstance(found, Completion) else Completion(found, 0.1, -0.2, ())


class Clock:
    now_s = 0.0

    def __call__(self):
        return self.now_s


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def clock():
    return Clock()


def second_pass(store, model, clock=time.monotonic, held=lambda: None, prompt=PROMPT, **options):
    return SecondPass(
        store,
        polishing(BUNDLE, prompt),
        lambda: Polisher(model, prompt),
        held,
        clock=clock,
        **options,
    )


def run(store, passes, recognizer=None, *, stop=None):
    """Work until there is nothing left to do, or, with a stop, until that is set."""
    events = []
    with store.recognizing():
        recognize(
            store,
            recognizer or Recognizer(),
            Request(),
            observe=events.append,
            alive=lambda: None,
            stop=stop or threading.Event(),
            until_idle=stop is None,
            second_pass=passes,
        )
    return events


def versions(store, utterance):
    return store.transcripts.versions(utterance.utterance_id)


def test_each_transcript_gets_a_second_version_that_says_what_it_is(store):
    said = [say(store), say(store)]
    run(store, second_pass(store, Model()))
    for utterance in said:
        first, second = versions(store, utterance)
        assert second.recognition.text == first.recognition.text.capitalize() + "."
        assert second.recognition.task is Task.POLISH
        assert (second.parent_version, second.bundle) == (1, "smol")
        assert (second.bundle_sha256, second.request_sha256) == ("cd" * 32, PROMPT.sha256)
        assert first.parent_version is None


def test_the_first_pass_goes_first(store):
    said = [say(store)]

    def answer(words):
        if len(said) < 3:
            said.append(say(store))  # somebody speaks during a second pass
        return words.removeprefix("Rewrite: ")

    events = run(store, second_pass(store, Model(answer)))
    kinds = [(type(event).__name__, event.utterance.utterance_id) for event in events]
    assert kinds == [
        ("Recognized", 1),
        ("Added", 1),
        ("Recognized", 2),
        ("Added", 2),
        ("Recognized", 3),
        ("Added", 3),
    ]


def test_a_restart_does_what_is_left_and_nothing_twice(store):
    say(store)
    run(store, None)
    model = Model()
    run(store, second_pass(store, model))
    run(store, second_pass(store, model))
    assert len(model.asked) == 1
    other = Prompt("Translate: {text}", min_similarity=0.0)
    run(store, second_pass(store, model, prompt=other))
    assert len(model.asked) == 2


def test_a_prompt_is_filled_in_once(store):
    prompt = Prompt("{language} {source} {other}: {text}")
    utterance = say(store)
    transcript = store.transcripts.add(
        utterance.utterance_id,
        recognition("a {source} b"),
        bundle="tiny",
        bundle_sha256="ab" * 32,
        created_utc_ns=1,
    )
    assert prompt.about(utterance, transcript) == "en mic {other}: a {source} b"
    with pytest.raises(ConfigError, match=r"needs \{text\}"):
        Prompt("Rewrite it")


@pytest.mark.parametrize(
    ("answer", "flag"),
    [
        (Completion("", 0.1, -0.2, ()), "empty"),
        (Completion("I am here to help you with your writing today.", 0.1, 0.0, ()), "different"),
        (Completion("loudness 0.1", 0.1, -0.2, ("token_limit",)), "token_limit"),
        (Completion("loudness 0.1", 0.1, -0.2, ("repetition",)), "repetition"),
    ],
)
def test_what_went_wrong_is_kept_with_its_reason_and_the_transcript_stands(store, answer, flag):
    utterance = say(store)
    run(store, second_pass(store, Model(lambda _: answer)))
    first, second = versions(store, utterance)
    assert flag in second.recognition.flags
    assert not second.is_shown
    assert store.transcripts.latest(utterance.utterance_id) == first


def test_what_went_wrong_is_shown_where_that_is_wanted(store):
    utterance = say(store)
    passes = second_pass(store, Model(lambda _: "Something else altogether."), show_flagged=True)
    run(store, passes)
    assert store.transcripts.latest(utterance.utterance_id).recognition.flags == ("different",)


def test_a_failing_prompt_is_given_up_after_three_tries_and_disturbs_nobody(store, clock):
    bad, good = say(store), say(store)

    def answer(_words):
        raise RuntimeError("too long")

    model = Model(answer)
    passes = second_pass(store, model, clock)
    for _ in range(6):
        events = run(store, passes)
        clock.now_s += TRY_AGAIN_S
        run(store, passes)
    assert len(model.asked) == 6, "three times each"
    assert [len(versions(store, each)) for each in (bad, good)] == [1, 1]
    assert store.transcripts.failures.all() == []
    assert store.passes.queue(WANTED).backlog().n_quarantined == 2
    assert events == []


def test_memory_goes_back_when_it_has_nothing_left_to_do(store, monkeypatch):
    utterance = say(store)
    run(store, None)
    stop = threading.Event()
    given_back = []
    monkeypatch.setattr(
        "edge_asr.recognize.give_back",
        lambda: given_back.append(len(versions(store, utterance))),
    )
    monkeypatch.setattr(store.doorbell, "wait", lambda _seconds: stop.set())
    run(store, second_pass(store, Model()), stop=stop)
    assert given_back == [2]  # once, behind the second version


def test_it_waits_while_it_is_held_and_goes_on_by_itself(store, clock):
    utterance = say(store)
    reasons = ["the board is too warm"]
    passes = second_pass(store, Model(), clock, held=lambda: reasons[0])
    run(store, passes)
    assert len(versions(store, utterance)) == 1
    reasons[0] = None
    run(store, passes)
    assert len(versions(store, utterance)) == 2


def test_the_bundle_is_loaded_when_needed_and_let_go_when_idle(store, clock):
    loaded = []

    def open_worker():
        loaded.append(1)
        return Polisher(Model(), PROMPT)

    passes = SecondPass(store, WANTED, open_worker, lambda: None, clock=clock)
    run(store, passes)
    assert loaded == []
    say(store)
    run(store, passes)
    say(store)
    run(store, passes)
    assert len(loaded) == 1
    clock.now_s += 301
    run(store, passes)
    say(store)
    run(store, passes)
    assert len(loaded) == 2


def test_a_bundle_that_cannot_be_loaded_counts_against_no_utterance(store, clock):
    utterance = say(store)

    def open_worker():
        raise MemoryError("no room")

    passes = SecondPass(store, WANTED, open_worker, lambda: None, clock=clock)
    events = run(store, passes)
    assert [type(event).__name__ for event in events] == ["Recognized", "PassFailed"]
    assert run(store, passes) == []
    clock.now_s += TRY_AGAIN_S
    assert isinstance(run(store, passes)[0], PassFailed)
    assert store.passes.queue(WANTED).backlog().n == 1
    assert len(versions(store, utterance)) == 1


def test_a_larger_speech_model_hears_the_sound_again(store):
    utterance = say(store)
    larger = Recognizer()
    larger.bundle.name, larger.bundle.sha256 = "granite", "23" * 32
    wanted = refining(larger.bundle, Request())
    passes = SecondPass(store, wanted, lambda: Refiner(larger, Request(), store), lambda: None)
    events = run(store, passes)
    assert isinstance(events[-1], Added)
    first, second = versions(store, utterance)
    assert (second.bundle, second.parent_version) == ("granite", None)
    assert second.request_sha256 == first.request_sha256 == Request().sha256
    assert run(store, passes) == []


def test_requests_differ_by_what_they_ask_beyond_the_defaults():
    assert Request().sha256 == Request(keywords=()).sha256
    assert Request(language="de").sha256 != Request().sha256


def test_texts_are_compared_by_their_words():
    assert similarity("pump seven is leaking", "Pump seven is leaking!") == 1.0
    assert similarity("pump seven is leaking", "I can help you with that") < 0.5
    assert similarity("東京タワー", "東京タワー。") == 1.0


def test_heat_holds_until_the_board_is_well_below_the_limit(tmp_path):
    zone = tmp_path / "thermal_zone0"
    zone.mkdir()
    (tmp_path / "thermal_zone1").mkdir()
    (tmp_path / "thermal_zone1" / "temp").write_text("not a number", encoding="ascii")
    guard = HeatGuard(75.0, tmp_path)
    found = []
    for millidegrees in (60_000, 74_900, 75_000, 72_000, 70_100, 70_000, 74_000):
        (zone / "temp").write_text(f"{millidegrees}\n", encoding="ascii")
        found.append(guard.is_too_warm())
    assert found == [False, False, True, True, True, False, False]
    assert hottest_c(tmp_path) == 74.0
    assert not HeatGuard(0.0, tmp_path).is_too_warm()
    assert hottest_c(tmp_path / "nowhere") is None
    assert not HeatGuard(10.0, tmp_path / "nowhere").is_too_warm()


KILLED = """
import sys, threading, time
from pathlib import Path
from edge_asr.records import Request
from edge_asr.second_pass import Polisher
from edge_asr.store import Store
from tests.test_second_pass import Model, run, second_pass

def slowly(words):
    print("working", flush=True)
    time.sleep(float(sys.argv[2]))
    return words.removeprefix("Rewrite: ")

with Store.open(Path(sys.argv[1])) as store:
    passes = second_pass(store, Model(slowly))
    passes._blocked_until_s = 0.0
    run(store, passes)
"""


@pytest.mark.faults
def test_a_kill_between_the_passes_loses_nothing_and_doubles_nothing(tmp_path):
    state = tmp_path / "state"
    with Store.open(state) as store:
        said = [say(store) for _ in range(3)]
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(state)]
    environ = {**os.environ, "PYTHONPATH": "."}
    for _ in range(3):
        process = subprocess.Popen([*command, "60"], stdout=subprocess.PIPE, env=environ)
        assert process.stdout.readline() == b"working\n"  # all three are transcribed by now
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()
    subprocess.run([*command, "0"], check=True, env=environ, capture_output=True, timeout=60)
    with Store.open(state, readonly=True) as store:
        for utterance in said:
            assert [each.parent_version for each in versions(store, utterance)] == [None, 1]
        assert store.transcripts.failures.all() == []
        assert store.passes.queue(WANTED).backlog().n == 0


def test_after_a_death_in_a_second_pass_there_is_none_for_a_while(store, clock):
    say(store)
    run(store, None)
    store.transcripts.begin_attempt(1, WANTED.key)
    os.close(store.transcripts._mark._descriptor)  # as a kill leaves it
    store.transcripts._mark._descriptor = None
    with store.recognizing():
        passes = second_pass(store, Model(), clock)
        assert passes.step() is None
        clock.now_s += TRY_AGAIN_S
        assert isinstance(passes.step(), Added)


def test_a_pass_is_told_by_its_bundle_and_its_request():
    assert Pass("smol", "cd" * 32, PROMPT.sha256, reads_text=True) == WANTED
    assert polishing(BUNDLE, Prompt("Other: {text}")).key != WANTED.key
