"""The recognizing loop over a real store, with a recognizer that does as it is told."""

import threading
from dataclasses import dataclass

import numpy as np
import pytest

from edge_asr.alarms import AlarmCode
from edge_asr.errors import DiskRefusesError
from edge_asr.recognize import Failed, Recognized, recognize
from edge_asr.records import ClockQuality, EndReason, Instant, Recognition, Request, Task
from edge_asr.store import Store

START = Instant(1_700_000_000_000_000_000, 5_000_000_000, "this-boot", ClockQuality.RTC)
N_SAMPLES = 8000


@dataclass
class TinyBundle:
    name: str = "tiny"
    sha256: str = "0" * 64


class Recognizer:
    """Answers with how loud the sound is; refuses what it was told to refuse."""

    def __init__(self, refuse=()):
        self.bundle = TinyBundle()
        self.refuse = refuse
        self.heard = []

    def check(self, request):
        pass

    def transcribe(self, waveform, request):
        loudness = round(float(waveform.max()), 1)
        self.heard.append(loudness)
        if loudness in self.refuse:
            raise RuntimeError(f"{loudness} is too much")
        return Recognition(f"loudness {loudness}", "en", None, request.task, 0.1, -0.2)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as opened:
        yield opened


def say(store, loudness):
    recording = store.utterances.begin("mic", START.shifted(int(loudness * 1e10)))
    recording.append(np.full(N_SAMPLES, loudness, np.float32))
    return store.utterances.close(recording, n_samples=N_SAMPLES, reason=EndReason.PAUSE)


def run(store, recognizer, **overrides):
    events = []
    arguments = {
        "observe": events.append,
        "alive": lambda: None,
        "stop": threading.Event(),
        "until_idle": True,
    }
    with store.recognizing():
        recognize(store, recognizer, Request(), **{**arguments, **overrides})
    return events


def test_everything_pending_is_transcribed_oldest_first(store):
    said = [say(store, loudness) for loudness in (0.1, 0.2, 0.3)]
    events = run(store, Recognizer())
    assert [event.utterance for event in events] == said
    texts = [store.transcripts.latest(each.utterance_id).recognition.text for each in said]
    assert texts == ["loudness 0.1", "loudness 0.2", "loudness 0.3"]


def test_a_transcript_that_the_disk_refuses_is_kept_until_it_takes_it(store, monkeypatch):
    say(store, 0.1)
    left = [3]
    add_first = store.transcripts.add_first

    def refuse(*arguments, **named):
        left[0] -= 1
        if left[0] >= 0:
            raise DiskRefusesError("the disk is full; make room")
        return add_first(*arguments, **named)

    monkeypatch.setattr(store.transcripts, "add_first", refuse)
    monkeypatch.setattr("edge_asr.insisting.RETRY_S", 0.01)
    recognizer, stop = Recognizer(), threading.Event()
    seen = []

    def observe(event):
        seen.append(event)
        if isinstance(event, Recognized):
            stop.set()

    run(store, recognizer, observe=observe, stop=stop, until_idle=False)
    at_once, logged, cleared, _recognized = seen
    assert (at_once.code, at_once.active) == (AlarmCode.DISK_REFUSES, True)
    assert (logged.active, cleared.active) == (True, False)
    assert recognizer.heard == [0.1]  # it was not heard again
    assert [alarm.cleared is not None for alarm in store.alarms.between()] == [True]


def test_until_idle_does_not_wait_for_a_full_disk(store, monkeypatch):
    say(store, 0.1)

    def refuse(*_arguments, **_named):
        raise DiskRefusesError("the disk is full; make room")

    monkeypatch.setattr(store.transcripts, "add_first", refuse)
    with pytest.raises(DiskRefusesError):
        run(store, Recognizer())


def test_one_that_fails_does_not_stop_the_others_and_is_left_alone_after_three_tries(store):
    bad, good = say(store, 0.5), say(store, 0.6)
    recognizer = Recognizer(refuse=(0.5,))
    for _ in range(5):
        events = run(store, recognizer)
    assert recognizer.heard.count(0.5) == 3
    assert recognizer.heard.count(0.6) == 1
    assert events == []
    assert store.transcripts.latest(good.utterance_id) is not None
    assert store.transcripts.latest(bad.utterance_id) is None
    assert "too much" in store.transcripts.failures.of(bad.utterance_id).error
    assert store.transcripts.backlog().n_quarantined == 1


def test_events_are_told_after_they_are_safe(store):
    say(store, 0.1)

    def observe(event):
        assert isinstance(event, Recognized)
        assert store.transcripts.latest(event.utterance.utterance_id) == event.transcript

    run(store, Recognizer(), observe=observe)


def test_a_damaged_sound_file_is_a_failure_that_names_it(store, tmp_path):
    utterance = say(store, 0.1)
    (tmp_path / "state" / utterance.audio_path).write_bytes(b"not a FLAC file")
    (event,) = run(store, Recognizer())
    assert isinstance(event, Failed)
    assert utterance.audio_path in event.error


def test_a_stop_ends_the_loop_after_the_utterance_at_hand(store):
    for loudness in (0.1, 0.2, 0.3):
        say(store, loudness)
    stop = threading.Event()
    events = []

    def observe(event):
        events.append(event)
        stop.set()

    run(store, Recognizer(), observe=observe, stop=stop, until_idle=False)
    assert len(events) == 1
    assert store.transcripts.backlog().n == 2


def test_the_task_is_passed_on(store):
    say(store, 0.1)
    with store.recognizing():
        recognize(
            store,
            Recognizer(),
            Request(task=Task.TRANSLATE),
            observe=lambda _event: None,
            alive=lambda: None,
            stop=threading.Event(),
            until_idle=True,
        )
    (transcript,) = store.transcripts.versions(1)
    assert transcript.recognition.task is Task.TRANSLATE


def say_at(store, source, loudness, n_samples):
    recording = store.utterances.begin(source, START)
    recording.append(np.full(n_samples, loudness, np.float32))
    return store.utterances.close(recording, n_samples=n_samples, reason=EndReason.PAUSE)


def test_no_source_waits_for_the_flood_of_another(store):
    for _ in range(30):
        say_at(store, "radio", 0.1, 2 * N_SAMPLES)
    said = [say_at(store, source, 0.2, N_SAMPLES) for source in ("gate", "gate", "press")]

    events = run(store, Recognizer())

    order = [event.utterance.utterance_id for event in events]
    assert [order.index(utterance.utterance_id) for utterance in said] == [1, 3, 2]
    assert [each for each in order if each <= 30] == list(range(1, 31))


def test_what_is_shared_is_seconds_of_sound_not_the_number_of_utterances(store):
    for _ in range(4):
        say_at(store, "lecture", 0.1, 10 * N_SAMPLES)
    for _ in range(20):
        say_at(store, "calls", 0.2, N_SAMPLES)

    events = run(store, Recognizer())

    sources = [event.utterance.source for event in events]
    assert sources.index("calls") == 1
    # Once each had its share of the first half, ten calls stand for one part of the lecture.
    assert sources[:11].count("calls") == 10
    assert sources[11:22].count("calls") == 10


def test_silence_saves_up_no_turns_and_a_flood_costs_none_later(store):
    for _ in range(10):
        say_at(store, "radio", 0.1, N_SAMPLES)
    run(store, Recognizer())
    for source in ("radio", "gate", "gate", "radio", "gate"):
        say_at(store, source, 0.2, N_SAMPLES)

    events = run(store, Recognizer())

    assert [event.utterance.source for event in events[:4]].count("radio") == 2


def test_memory_goes_back_once_there_is_nothing_left_to_do(store, monkeypatch):
    given_back, waits = [], []
    stop = threading.Event()
    monkeypatch.setattr("edge_asr.recognize.give_back", lambda: given_back.append(len(waits)))

    def wait(_seconds):
        waits.append(None)
        if len(waits) == 2:
            say(store, 0.2)
        if len(waits) == 4:
            stop.set()

    monkeypatch.setattr(store.doorbell, "wait", wait)
    say(store, 0.1)
    run(store, Recognizer(), stop=stop, until_idle=False)
    assert given_back == [0, 2]  # not at each look
