"""The backlog: what is said about it, what is left out, and who notices a standstill."""

import pytest

from edge_asr import backlog as module
from edge_asr.alarming import AlarmBook
from edge_asr.alarms import AlarmCode
from edge_asr.backlog import BacklogPolicy, Load, RecognizerWatch, load_of
from edge_asr.errors import BundleError, StoreError
from edge_asr.settings import BacklogSettings
from edge_asr.stepping import SteppingRecognizer
from edge_asr.store import Store
from tests.store.speech import say, write_down_first

STEPS = (AlarmCode.SECOND_PASS_OFF, AlarmCode.FALLBACK_BUNDLE)
SETTINGS = BacklogSettings(second_pass_off_s=10, fallback_s=40, behind_s=80)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as opened:
        yield opened


@pytest.fixture
def told():
    return []


@pytest.fixture
def book(store, told):
    return AlarmBook(store, "", told.append)


def changes(told):
    return [(change.code.value, change.active) for change in told]


def active(store):
    return [alarm.code for alarm in store.alarms.active()]


def test_what_waits_and_until_when_follows_from_the_last_transcripts(store):
    assert load_of(store) == Load(0, 0.0, None)
    done = say(store, n_samples=16_000)
    for _ in range(3):
        say(store, n_samples=32_000)
    assert load_of(store).eta_s is None
    write_down_first(store, done)  # which took 0.25 s for one second
    load = load_of(store)
    assert (load.n, load.backlog_s, load.rtf) == (3, 6.0, 0.25)
    assert load.eta_s == 1.5
    assert load.in_words() == "3 utterances (6 s) wait, done in about 2 s"


def test_each_step_is_taken_above_its_threshold_and_taken_back_below_half_of_it(book, told, store):
    policy = BacklogPolicy(SETTINGS, book, STEPS)
    for backlog_s in (5, 15, 9, 45, 19, 6, 4):
        policy.consider(Load(1, float(backlog_s), 1.0))
    assert changes(told) == [
        ("SECOND-PASS-OFF", True),  # 15; 9 is still above half of 10
        ("FALLBACK-BUNDLE", True),  # 45
        ("FALLBACK-BUNDLE", False),  # 19
        ("SECOND-PASS-OFF", False),  # 4
    ]
    assert told[0].detail == ("the second pass waits: 1 utterance (15 s) waits, done in about 15 s")
    assert active(store) == []
    assert len(store.alarms.between()) == 2


def test_a_policy_says_what_there_is_time_for(book):
    policy = BacklogPolicy(SETTINGS, book, STEPS)
    policy.consider(Load(1, 25.0, 1.0))
    assert not policy.second_pass_allowed
    assert not policy.fallback_wanted
    policy.consider(Load(1, 100.0, 1.0))
    assert policy.fallback_wanted


def test_a_step_that_there_is_nothing_to_leave_out_for_is_not_taken(book, told):
    policy = BacklogPolicy(SETTINGS, book, [])
    policy.consider(Load(1, 1000.0, 1.0))
    assert changes(told) == [("RECOGNIZER-BEHIND", True)]


def test_a_new_start_takes_back_what_a_dead_one_had_left_out(book, store):
    BacklogPolicy(SETTINGS, book, STEPS).consider(Load(1, 100.0, 1.0))
    assert len(active(store)) == 3
    BacklogPolicy(SETTINGS, book, STEPS)
    assert active(store) == []


def test_a_recognizer_that_ends_leaves_nothing_out(book, store):
    policy = BacklogPolicy(SETTINGS, book, STEPS)
    policy.consider(Load(1, 100.0, 1.0))
    policy.end("the recognizer ended")
    assert active(store) == []
    assert policy.second_pass_allowed


def test_a_step_that_the_disk_refuses_to_note_is_noted_later(book, told, store, monkeypatch):
    policy = BacklogPolicy(SETTINGS, book, STEPS)

    def refuse(*_args, **_options):
        raise StoreError("the disk is full")

    with monkeypatch.context() as disk:
        disk.setattr(store.alarms, "raise_alarm", refuse)
        policy.consider(Load(1, 15.0, 1.0))
        assert not policy.second_pass_allowed
        assert told == []
    policy.consider(Load(1, 15.0, 1.0))
    assert changes(told) == [("SECOND-PASS-OFF", True)]


class Clock:
    now_s = 1000.0

    def monotonic(self):
        return self.now_s


def test_utterances_that_wait_while_nothing_is_transcribed_are_an_alarm(
    book, told, store, monkeypatch
):
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    watch = RecognizerWatch(store, 60.0, book)

    def pass_time(seconds):
        for _ in range(seconds):
            clock.now_s += 1
            watch.look()

    pass_time(300)  # nothing waits
    first, second = say(store), say(store)
    pass_time(50)
    write_down_first(store, first)
    pass_time(50)
    assert told == []
    pass_time(40)
    assert changes(told) == [("RECOGNIZER-STOPPED", True)]
    assert told[0].detail.startswith("1 utterances wait, and for 60 s nothing was transcribed")
    write_down_first(store, second)
    pass_time(20)
    assert changes(told)[-1] == ("RECOGNIZER-STOPPED", False)


class Named:
    def __init__(self, name):
        self.bundle = name

    def transcribe(self, _waveform, _request):
        return self.bundle


def test_a_recognizer_steps_down_and_up_with_one_model_in_memory():
    wanted = iter([False, True, True, False])
    opened = []

    def open_named(name):
        opened.append(name)
        return Named(name)

    recognizer = SteppingRecognizer(
        lambda: open_named("usual"), lambda: open_named("small"), lambda: next(wanted), pytest.fail
    )
    texts = [recognizer.transcribe(None, None) for _ in range(4)]
    assert texts == ["usual", "small", "small", "usual"]
    assert opened == ["usual", "small", "usual"]
    assert recognizer.bundle == "usual"


def test_a_fallback_that_cannot_be_loaded_costs_no_utterance():
    complaints = []

    def broken():
        raise BundleError("it is damaged")

    recognizer = SteppingRecognizer(lambda: Named("usual"), broken, lambda: True, complaints.append)
    assert [recognizer.transcribe(None, None) for _ in range(3)] == ["usual"] * 3
    assert complaints == ["the fallback is not used: it is damaged"]
