"""The listening loop over a real store; what is speech is said by a detector of loudness."""

import threading

import numpy as np
import pytest

from edge_asr.listen import Heard, Listener
from edge_asr.records import (
    AudioChunk,
    ClockQuality,
    EndReason,
    Gap,
    GapKind,
    Instant,
    SourceState,
    SourceStatus,
    Utterance,
)
from edge_asr.settings import VadSettings
from edge_asr.store import Store

START = Instant(1_700_000_000_000_000_000, 5_000_000_000, "this-boot", ClockQuality.RTC)
CHUNK_SAMPLES = 1600
SETTINGS = VadSettings(min_silence_duration_ms=320, speech_pad_ms=64, min_speech_duration_ms=96)


class LoudnessDetector:
    """Takes for speech what is loud: the test decides what is."""

    def reset(self):
        pass

    def probabilities(self, waveform):
        return (np.abs(waveform.reshape(-1, 512)).max(axis=1) > 0.1).astype(np.float32)


def tone(seconds, amplitude=0.5):
    t = np.arange(int(seconds * 16_000)) / 16_000
    return (amplitude * np.sin(2 * np.pi * 440 * t)).astype(np.float32)


def silence(seconds):
    return np.zeros(int(seconds * 16_000), np.float32)


def chunks(*waveforms, start=START):
    sound = np.concatenate(waveforms)
    for position in range(0, len(sound), CHUNK_SAMPLES):
        at = start.shifted(position * 1_000_000_000 // 16_000)
        yield AudioChunk(sound[position : position + CHUNK_SAMPLES], at)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as opened:
        yield opened


def listen(store, *items):
    events = []
    listener = Listener(
        store,
        LoudnessDetector(),
        SETTINGS,
        source_name="mic",
        observe=events.append,
    )
    listener.listen(items, alive=lambda: None)
    return events


def test_the_source_is_told_when_somebody_speaks_and_when_it_is_over(store):
    told = []
    listener = Listener(
        store,
        LoudnessDetector(),
        SETTINGS,
        source_name="mic",
        observe=lambda _event: None,
        attend=told.append,
    )
    sound = chunks(silence(2.0), tone(1.0), silence(5.0), tone(1.0))
    listener.listen(sound, alive=lambda: None)
    assert told == [False, True, False, True]


def utterances(events):
    return [event for event in events if isinstance(event, Utterance)]


def test_an_utterance_is_stored_with_its_sound_and_the_time_it_began(store):
    events = listen(store, *chunks(silence(1.0), tone(2.0), silence(1.0)))
    (utterance,) = utterances(events)
    assert utterance.source == "mic"
    assert utterance.end_reason is EndReason.PAUSE
    assert utterance.duration_s == pytest.approx(2.0 + 2 * 0.064, abs=0.033)
    began_s = (utterance.start.utc_ns - START.utc_ns) / 1e9
    assert began_s == pytest.approx(1.0 - 0.064, abs=0.033)
    assert utterance.start.boot_id == "this-boot"
    stored = store.utterances.waveform(utterance)
    assert np.abs(stored).max() == pytest.approx(0.5, abs=1e-3)
    assert store.transcripts.pending() == utterance


def test_what_is_spoken_when_the_source_ends_is_kept(store):
    (utterance,) = utterances(listen(store, *chunks(silence(0.5), tone(1.5))))
    assert utterance.end_reason is EndReason.END_OF_SOURCE


def test_a_gap_ends_the_utterance_and_is_stored(store):
    gap = Gap(GapKind.OVERFLOW, START.shifted(2_000_000_000), 0.7)
    later = START.shifted(2_700_000_000)
    events = listen(
        store,
        *chunks(silence(0.5), tone(1.5)),
        gap,
        *chunks(tone(1.0), silence(1.0), start=later),
    )
    before, after = utterances(events)
    assert before.end_reason is EndReason.INTERRUPTED
    assert after.end_reason is EndReason.PAUSE
    assert after.start.utc_ns == later.utc_ns  # nothing of it is taken from before the gap
    assert [stored.gap for stored in store.gaps.between()] == [gap]


def test_a_lost_microphone_does_not_keep_what_was_said_waiting(store):
    status = SourceStatus(SourceState.NO_DEVICE, "unplugged")
    events = listen(store, *chunks(tone(1.5)), status, status)
    kinds = [type(event) for event in events if not isinstance(event, Heard)]
    assert kinds == [Utterance, SourceStatus, SourceStatus]


def test_a_click_is_dropped_and_leaves_no_file(store, tmp_path):
    assert utterances(listen(store, *chunks(silence(0.5), tone(0.03), silence(1.0)))) == []
    assert list((tmp_path / "state" / "open").glob("*")) == []
    assert store.transcripts.pending() is None


def test_a_closed_utterance_rings_the_doorbell(tmp_path):
    state = tmp_path / "state"
    with Store.open(state) as recognizer_store, recognizer_store.recognizing():
        rang = []
        waiter = threading.Thread(target=lambda: rang.append(recognizer_store.doorbell.wait(10)))
        waiter.start()
        with Store.open(state) as listener_store:
            listen(listener_store, *chunks(tone(1.0), silence(1.0)))
        waiter.join(10)
    assert rang == [True]


def test_the_store_is_used_by_one_thread_at_a_time(store):
    """What looks around uses the store: elsewhere it would end up within a transaction."""
    storing, looking = set(), set()
    listener = Listener(
        store,
        LoudnessDetector(),
        SETTINGS,
        source_name="mic",
        observe=lambda _event: storing.add(threading.get_ident()),
        look_around=lambda: looking.add(threading.get_ident()),
    )
    listener._timed_at_s -= 60
    listener.listen(chunks(tone(1.0), silence(1.0)), alive=lambda: None)
    assert len(looking) == 1
    assert looking == storing
