"""What is said is told while it is said: an open utterance in a real store, read as it grows."""

import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from edge_asr import partials as module
from edge_asr.abandoning import watch
from edge_asr.cli.events import as_fields, printer
from edge_asr.partials import Partial, Partials
from edge_asr.recognize import Recognized, recognize
from edge_asr.records import EndReason, PartialText, Request
from edge_asr.store import Store
from tests.test_recognize import START, Recognizer


class ReadingAlong(Recognizer):
    """Says how many tenths of a second it has heard."""

    def __init__(self, cost_s=0.0):
        super().__init__()
        self.cost_s = cost_s
        self.previous = []

    def partial(self, waveform, _request, previous):
        time.sleep(self.cost_s)
        self.previous.append(previous and previous.text)
        return PartialText(f"{len(waveform) // 1600} tenths", len(waveform))


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as opened:
        yield opened


def begin(store, seconds=0.0, offset_s=0):
    recording = store.utterances.begin("mic", START.shifted(offset_s * 10**9))
    speak(recording, seconds)
    return recording


def speak(recording, seconds):
    recording.append(np.full(int(seconds * 16_000), 0.1, np.float32))


def text(partial):
    return partial and partial.found.text


def test_a_growing_utterance_is_read_again_when_enough_was_added(store, monkeypatch):
    monkeypatch.setattr(module, "REST", 0.0)
    recognizer = ReadingAlong()
    partials = Partials(store, recognizer, Request())
    assert partials.look() is None  # nobody speaks
    recording = begin(store, 1.0)
    assert text(partials.look()) == "10 tenths"
    speak(recording, 0.3)
    assert partials.look() is None
    speak(recording, 0.3)
    assert text(partials.look()) == "16 tenths"
    assert recognizer.previous == [None, "10 tenths"]


def test_the_next_utterance_begins_from_nothing(store, monkeypatch):
    monkeypatch.setattr(module, "REST", 0.0)
    recognizer = ReadingAlong()
    partials = Partials(store, recognizer, Request())
    recording = begin(store, 2.0)
    partials.look()
    store.utterances.close(recording, n_samples=32_000, reason=EndReason.PAUSE)
    assert partials.look() is None
    begin(store, 0.7, offset_s=9)
    assert text(partials.look()) == "7 tenths"
    assert recognizer.previous == [None, None]


def test_after_each_there_is_a_rest_that_grows_with_what_it_cost(store):
    partials = Partials(store, ReadingAlong(cost_s=0.2), Request())
    recording = begin(store, 1.0)
    assert partials.look() is not None
    speak(recording, 2.0)
    assert partials.look() is None
    time.sleep(0.5)
    assert text(partials.look()) == "30 tenths"


def test_what_would_hold_up_a_final_is_left_alone(store, monkeypatch):
    monkeypatch.setattr(module, "MAX_COST_S", 0.15)
    monkeypatch.setattr(module, "REST", 0.0)
    recognizer = ReadingAlong(cost_s=0.1)
    partials = Partials(store, recognizer, Request())
    recording = begin(store, 1.0)
    assert partials.look() is not None
    speak(recording, 4.0)
    assert partials.look() is None
    assert len(recognizer.previous) == 1


def test_one_that_closes_meanwhile_is_not_told(store):
    recognizer = ReadingAlong()
    partials = Partials(store, recognizer, Request())
    recording = begin(store, 1.0)
    partial = recognizer.partial

    def closes(*arguments):
        store.utterances.close(recording, n_samples=16_000, reason=EndReason.PAUSE)
        return partial(*arguments)

    recognizer.partial = closes
    assert partials.look() is None


@pytest.mark.parametrize("which", ["mic", "door"])
def test_one_that_runs_is_broken_off_when_any_utterance_closes(store, which):
    recordings = {"door": begin(store, 1.0), "mic": begin(store, 1.0, offset_s=1)}
    recognizer = ReadingAlong()

    def runs_until_it_is_stopped(*_arguments):
        run = SimpleNamespace(terminate=False)
        watch(run)
        store.utterances.close(recordings[which], n_samples=16_000, reason=EndReason.PAUSE)
        while not run.terminate:
            time.sleep(0.01)
        raise RuntimeError("Exiting due to terminate flag being set to true.")

    recognizer.partial = runs_until_it_is_stopped
    assert Partials(store, recognizer, Request()).look() is None


def test_the_loop_tells_partials_while_idle_and_the_final_replaces_them(store):
    recognizer = ReadingAlong()
    recording = begin(store, 1.0)
    stop, events = threading.Event(), []

    def observe(event):
        events.append(event)
        if isinstance(event, Partial):
            store.utterances.close(recording, n_samples=16_000, reason=EndReason.PAUSE)
        else:
            stop.set()

    with store.recognizing():
        recognize(
            store,
            recognizer,
            Request(),
            observe=observe,
            alive=lambda: None,
            stop=stop,
            until_idle=False,
            partials=Partials(store, recognizer, Request()),
        )
    partial, final = events
    assert isinstance(final, Recognized)
    told, said = as_fields(partial, ""), as_fields(final, "")
    assert (told["event"], told["text"], told["duration_s"]) == ("partial", "10 tenths", 1.0)
    assert (told["source"], told["start_utc"]) == (said["source"], said["start_utc"])
    assert [each.version for each in store.transcripts.versions(1)] == [1]


def test_what_is_pending_comes_first(store):
    recognizer = ReadingAlong()
    said = begin(store, 1.0)
    store.utterances.close(said, n_samples=16_000, reason=EndReason.PAUSE)
    begin(store, 1.0, offset_s=5)
    stop, kinds = threading.Event(), []

    def observe(event):
        kinds.append(type(event))
        if len(kinds) == 2:
            stop.set()

    with store.recognizing():
        recognize(
            store,
            recognizer,
            Request(),
            observe=observe,
            alive=lambda: None,
            stop=stop,
            until_idle=False,
            partials=Partials(store, recognizer, Request()),
        )
    assert kinds == [Recognized, Partial]


def test_words_for_people_on_stderr_have_no_partials(store, capsys):
    begin(store, 1.0)
    partial = Partials(store, ReadingAlong(), Request()).look()
    printer("text")(partial)
    assert capsys.readouterr() == ("", "")
    printer("jsonl")(partial)
    assert '"event": "partial"' in capsys.readouterr().out
