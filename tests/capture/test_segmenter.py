"""Cutting utterances: every rule alone, then properties of any sound at all."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_asr.capture.framing import FRAME_SAMPLES
from edge_asr.capture.segmenter import (
    Segmenter,
    SpeechContinued,
    SpeechDropped,
    SpeechEnded,
    SpeechStarted,
)
from edge_asr.config import VadSettings
from edge_asr.records import SAMPLE_RATE, EndReason

PLAIN = VadSettings(
    min_speech_duration_ms=96,  # 3 frames
    min_silence_duration_ms=160,  # 5 frames
    speech_pad_ms=64,  # 2 frames
    max_speech_duration_s=28.0,
)
SHORT = VadSettings(
    min_speech_duration_ms=96,
    min_silence_duration_ms=640,
    speech_pad_ms=64,
    max_speech_duration_s=2.0,  # 62.5 frames
)


@dataclass
class Cut:
    """An utterance, as a sink puts it together."""

    start: int
    waveform: np.ndarray
    end: int = -1
    reason: EndReason | None = None


def cut(events):
    """Do what a sink does with events, and check that they come in an order that makes sense."""
    done, current, dropped = [], None, 0
    for event in events:
        match event:
            case SpeechStarted():
                assert current is None
                assert len(event.waveform) > 0
                current = Cut(event.start_sample, event.waveform)
            case SpeechContinued():
                current.waveform = np.concatenate([current.waveform, event.waveform])
            case SpeechEnded():
                assert event.start_sample == current.start
                assert 0 < event.n_samples <= len(current.waveform)
                current.waveform = current.waveform[: event.n_samples]
                current.end, current.reason = event.end_sample, event.reason
                done.append(current)
                current = None
            case SpeechDropped():
                assert event.start_sample == current.start
                current, dropped = None, dropped + 1
    assert current is None
    return done, dropped


def sound_of(probabilities):
    """Return sound of which every sample differs from every other."""
    return np.arange(len(probabilities) * FRAME_SAMPLES, dtype=np.float32)


def segment(probabilities, vad=PLAIN, reason=EndReason.END_OF_SOURCE, pieces=()):
    """Push ``probabilities`` at once, or in pieces of the given lengths."""
    probabilities = np.array(probabilities, np.float32)
    sound = sound_of(probabilities)
    segmenter, events, at = Segmenter(vad), [], 0
    for length in [*pieces, len(probabilities)]:
        upto = min(at + length, len(probabilities))
        events += segmenter.push(
            sound[at * FRAME_SAMPLES : upto * FRAME_SAMPLES], probabilities[at:upto]
        )
        at = upto
    return cut(events + segmenter.finish(reason))


def frames(*cuts):
    """Return where utterances begin and end, in frames."""
    return [(each.start / FRAME_SAMPLES, each.end / FRAME_SAMPLES) for each in cuts]


def test_speech_is_kept_with_a_pad_before_and_after():
    done, _ = segment([0] * 10 + [1] * 6 + [0] * 10)
    assert frames(*done) == [(8, 18)]
    assert done[0].reason is EndReason.PAUSE
    np.testing.assert_array_equal(
        done[0].waveform, np.arange(8 * FRAME_SAMPLES, 18 * FRAME_SAMPLES, dtype=np.float32)
    )


def test_the_pad_before_speech_ends_at_the_beginning_of_the_sound():
    done, _ = segment([0] + [1] * 6 + [0] * 10)
    assert frames(*done) == [(0, 9)]


def test_the_pad_after_speech_ends_with_the_sound():
    done, _ = segment([0] * 4 + [1] * 6 + [0])
    assert frames(*done) == [(2, 11)]
    assert done[0].reason is EndReason.END_OF_SOURCE


def test_the_last_whole_frame_belongs_to_the_utterance():
    done, _ = segment([0] * 4 + [1] * 6)
    assert frames(*done) == [(2, 10)]


def test_silence_has_no_utterances():
    assert segment([0.1] * 200) == ([], 0)


def test_no_sound_has_no_utterances():
    assert segment([]) == ([], 0)


def test_a_pause_that_is_too_short_does_not_end_an_utterance():
    done, _ = segment([0] * 4 + [1] * 4 + [0] * 4 + [1] * 4 + [0] * 5)
    assert frames(*done) == [(2, 18)]


def test_a_pause_that_is_just_long_enough_ends_it():
    done, _ = segment([0] * 4 + [1] * 4 + [0] * 5 + [1] * 4 + [0] * 5)
    assert frames(*done) == [(2, 10), (11, 19)]


def test_pads_of_neighbours_never_overlap():
    wide = VadSettings(min_speech_duration_ms=96, min_silence_duration_ms=160, speech_pad_ms=1000)
    done, _ = segment([0] * 4 + [1] * 4 + [0] * 6 + [1] * 4 + [0] * 9, wide)
    assert frames(*done) == [(0, 13), (13, 23)]


def test_a_pad_need_not_be_whole_frames():
    vad = VadSettings(min_speech_duration_ms=96, min_silence_duration_ms=160, speech_pad_ms=50)
    done, _ = segment([0] * 10 + [1] * 6 + [0] * 10, vad)
    assert (done[0].start, done[0].end) == (10 * 512 - 800, 16 * 512 + 800)
    assert done[0].waveform[0] == done[0].start
    assert done[0].waveform[-1] == done[0].end - 1


def test_speech_needs_threshold_to_begin_but_only_neg_threshold_to_go_on():
    between = [0.4] * 10
    assert segment([0] * 4 + between + [0] * 9) == ([], 0)
    done, _ = segment([0] * 4 + [1] * 3 + between + [0] * 9)
    assert frames(*done) == [(2, 19)]


def test_neg_threshold_can_be_set():
    vad = VadSettings(
        min_speech_duration_ms=96,
        min_silence_duration_ms=160,
        speech_pad_ms=64,
        neg_threshold=0.45,
    )
    done, _ = segment([0] * 4 + [1] * 3 + [0.4] * 10, vad)
    assert frames(*done) == [(2, 9)]


def test_threshold_itself_is_speech_and_neg_threshold_itself_no_pause():
    vad = VadSettings(
        threshold=0.5,
        neg_threshold=0.25,
        min_speech_duration_ms=96,
        min_silence_duration_ms=160,
        speech_pad_ms=0,
    )
    done, _ = segment([0] * 4 + [0.5] + [0.25] * 9 + [0] * 9, vad)
    assert frames(*done) == [(4, 14)]


def test_a_burst_too_short_to_be_speech_is_dropped():
    assert segment([0] * 4 + [1] * 2 + [0] * 9) == ([], 1)


def test_speech_just_long_enough_is_kept():
    done, dropped = segment([0] * 4 + [1] * 3 + [0] * 9)
    assert frames(*done) == [(2, 9)]
    assert dropped == 0


def test_a_dropped_burst_may_be_in_the_pad_of_what_follows():
    done, dropped = segment([0] * 4 + [1] + [0] * 5 + [1] * 4 + [0] * 5, PLAIN_WIDE)
    assert dropped == 1
    assert frames(*done)[0][0] == 0


PLAIN_WIDE = VadSettings(min_speech_duration_ms=96, min_silence_duration_ms=160, speech_pad_ms=320)


def test_the_longest_utterance_is_cut_in_its_longest_pause_and_nothing_is_lost():
    # A pause of 4 frames at 45 and one of 9 at 50; neither ends the utterance (20 frames do).
    probabilities = [1.0] * 45 + [0.0] * 2 + [1.0] * 4 + [0.0] * 9 + [1.0] * 20
    done, _ = segment(probabilities, SHORT)
    assert [each.reason for each in done] == [EndReason.LONGEST, EndReason.END_OF_SOURCE]
    assert done[0].start == 0
    assert done[0].end == done[1].start
    assert 53 <= done[0].end / FRAME_SAMPLES <= 58
    assert done[1].end == len(probabilities) * FRAME_SAMPLES


def test_speech_without_any_pause_is_cut_at_its_longest():
    done, _ = segment([1.0] * 200, SHORT)
    assert all(each.reason is EndReason.LONGEST for each in done[:-1])
    assert [each.end for each in done[:-1]] == [each.start for each in done[1:]]
    assert [round((each.end - each.start) / FRAME_SAMPLES) for each in done] == [62, 62, 62, 14]


def test_the_rest_after_a_cut_is_kept_however_short():
    done, dropped = segment([1.0] * 63 + [0] * 30, SHORT)
    assert dropped == 0
    assert frames(*done) == [(0, 62), (62, 65)]
    assert done[1].reason is EndReason.PAUSE


def test_a_cut_in_the_last_pause_leaves_no_rest():
    done, dropped = segment([1.0] * 50 + [0.0] * 30, SHORT)
    assert dropped == 0
    assert frames(*done) == [(0, 52)]
    assert done[0].reason is EndReason.LONGEST


def test_an_interruption_ends_what_is_spoken_and_nothing_reaches_across_it():
    segmenter = Segmenter(PLAIN)
    ones = np.ones(8, np.float32)
    sound = sound_of(np.zeros(16))
    events = segmenter.push(sound[: 8 * 512], ones)
    events += segmenter.finish(EndReason.INTERRUPTED)
    events += segmenter.push(sound[8 * 512 :], ones)
    done, _ = cut(events + segmenter.finish(EndReason.END_OF_SOURCE))
    assert frames(*done) == [(0, 8), (8, 16)]
    assert done[0].reason is EndReason.INTERRUPTED


def test_finishing_twice_says_nothing_twice():
    segmenter = Segmenter(PLAIN)
    segmenter.push(sound_of(np.zeros(8)), np.ones(8, np.float32))
    assert len(segmenter.finish(EndReason.INTERRUPTED)) == 1
    assert segmenter.finish(EndReason.INTERRUPTED) == []


def test_an_utterance_starts_at_its_first_frame_not_when_it_is_over():
    segmenter = Segmenter(PLAIN)
    events = segmenter.push(sound_of(np.zeros(3)), np.array([0, 0, 1], np.float32))
    assert [type(event) for event in events] == [SpeechStarted]


def test_a_probability_that_is_no_number_is_silence():
    done, _ = segment([0] * 4 + [1] * 4 + [float("nan")] * 9 + [0] * 9)
    assert len(done) == 1


def test_sound_and_probabilities_must_go_together():
    with pytest.raises(ValueError, match="2 probabilities for 512 samples"):
        Segmenter(PLAIN).push(np.zeros(512, np.float32), np.zeros(2, np.float32))


RUNS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.02, 0.25, 0.34, 0.36, 0.45, 0.49, 0.5, 0.75, 1.0]),
        st.integers(1, 40),
    ),
    max_size=25,
)
ANY_SETTINGS = st.builds(
    VadSettings,
    threshold=st.sampled_from([0.25, 0.5, 0.75]),
    min_speech_duration_ms=st.integers(0, 600),
    max_speech_duration_s=st.floats(2.0, 6.0),
    min_silence_duration_ms=st.integers(0, 1500),
    speech_pad_ms=st.integers(0, 2500),
)


def spread(runs):
    return [probability for probability, length in runs for _ in range(length)]


@settings(max_examples=200, deadline=None)
@given(RUNS, ANY_SETTINGS)
def test_utterances_hold_exactly_the_sound_they_claim_and_never_overlap(runs, vad):
    probabilities = spread(runs)
    done, _ = segment(probabilities, vad)
    sound = sound_of(probabilities)
    free = 0
    for each in done:
        assert free <= each.start < each.end <= len(sound)
        assert each.end - each.start <= vad.max_speech_duration_s * SAMPLE_RATE
        np.testing.assert_array_equal(each.waveform, sound[each.start : each.end])
        free = each.end


@settings(max_examples=200, deadline=None)
@given(RUNS, ANY_SETTINGS)
def test_speech_that_lasts_is_never_lost(runs, vad):
    probabilities = spread(runs)
    done, _ = segment(probabilities, vad)
    covered = np.zeros(len(probabilities) * FRAME_SAMPLES, bool)
    for each in done:
        covered[each.start : each.end] = True
    long_enough = vad.min_speech_duration_ms * SAMPLE_RATE / 1000 / FRAME_SAMPLES
    start = 0
    for index, probability in enumerate([*probabilities, -1.0]):
        if probability < vad.threshold:
            if index > start and index - start >= long_enough:
                assert covered[start * FRAME_SAMPLES : index * FRAME_SAMPLES].all()
            start = index + 1


@settings(max_examples=150, deadline=None)
@given(RUNS, ANY_SETTINGS, st.lists(st.integers(1, 30), max_size=40))
def test_how_the_sound_arrives_does_not_matter(runs, vad, pieces):
    probabilities = spread(runs)
    at_once, dropped_at_once = segment(probabilities, vad)
    in_pieces, dropped_in_pieces = segment(probabilities, vad, pieces=pieces)
    assert dropped_at_once == dropped_in_pieces
    assert [(each.start, each.end, each.reason) for each in at_once] == [
        (each.start, each.end, each.reason) for each in in_pieces
    ]


@settings(max_examples=100, deadline=None)
@given(RUNS, ANY_SETTINGS)
def test_no_utterance_is_without_speech(runs, vad):
    probabilities = np.array(spread(runs))
    done, _ = segment(probabilities, vad)
    for each in done:
        inside = probabilities[each.start // FRAME_SAMPLES : -(-each.end // FRAME_SAMPLES)]
        lowest = max(vad.threshold - 0.15, 0.01)
        assert (inside >= lowest).any()
