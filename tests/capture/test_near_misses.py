"""What is nearly speech: found, never twice, and never what an utterance has."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.capture.framing import FRAME_SAMPLES
from edge_asr.capture.near_misses import LONGEST_S, MIN_SAMPLES, NearMisses, without
from edge_asr.capture.segmenter import Segmenter, SpeechEnded
from edge_asr.records import SAMPLE_RATE, EndReason, RejectedBecause
from edge_asr.settings import VadSettings

SETTINGS = VadSettings(
    min_speech_duration_ms=250,
    min_silence_duration_ms=320,
    speech_pad_ms=64,
    rejected_threshold=0.2,
)


def follow(probabilities, n_at_once=7):
    """Return what was missed, and the utterances, of frames whose sound is their number."""
    missed, utterances = [], []
    segmenter, near = Segmenter(SETTINGS), NearMisses(SETTINGS, missed.append)

    def note(events):
        utterances.extend(event for event in events if isinstance(event, SpeechEnded))
        return events

    for first in range(0, len(probabilities), n_at_once):
        some = np.array(probabilities[first : first + n_at_once], np.float32)
        frames = np.arange(first, first + len(some), dtype=np.float32).repeat(FRAME_SAMPLES)
        near.push(frames, some, note(segmenter.push(frames, some)))
    near.finish(EndReason.END_OF_SOURCE, note(segmenter.finish(EndReason.END_OF_SOURCE)))
    return missed, utterances


def test_what_is_never_sure_enough_is_told_with_its_sound():
    ((miss,), utterances) = follow([0.0] * 30 + [0.4] * 20 + [0.0] * 30)

    assert utterances == []
    assert miss.because is RejectedBecause.UNSURE
    assert miss.peak == pytest.approx(0.4)
    first, last = miss.waveform[0], miss.waveform[-1]
    assert miss.start_sample == first * FRAME_SAMPLES
    assert first <= 30
    assert last >= 49


def test_a_burst_that_is_too_short_is_told():
    ((miss,), utterances) = follow([0.0] * 30 + [0.9] * 4 + [0.0] * 30)

    assert utterances == []
    assert miss.because is RejectedBecause.SHORT
    assert miss.peak == pytest.approx(0.9)


def test_speech_and_its_edges_are_not():
    missed, utterances = follow([0.0] * 30 + [0.3] * 3 + [0.9] * 40 + [0.3] * 3 + [0.0] * 30)

    assert len(utterances) == 1
    assert missed == []


def test_what_goes_before_speech_for_long_is_told_up_to_the_utterance():
    ((miss,), (utterance,)) = follow([0.0] * 30 + [0.4] * 60 + [0.9] * 40 + [0.0] * 30)

    assert miss.because is RejectedBecause.UNSURE
    assert miss.start_sample + len(miss.waveform) == utterance.start_sample


def test_silence_is_nothing():
    assert follow([0.1] * 300) == ([], [])


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.3, 0.6, 0.9]), st.integers(1, 60)), max_size=14
    ),
    st.integers(1, 40),
)
def test_whatever_is_heard_no_sample_is_in_two_places(runs, n_at_once):
    probabilities = [probability for probability, n in runs for _ in range(n)]
    missed, utterances = follow(probabilities, n_at_once)

    for miss in missed:
        end = miss.start_sample + len(miss.waveform)
        assert MIN_SAMPLES <= len(miss.waveform) <= LONGEST_S * SAMPLE_RATE
        assert miss.peak >= np.float32(0.2)
        positions = np.arange(miss.start_sample, end) // FRAME_SAMPLES
        assert (miss.waveform == positions).all()
        for utterance in utterances:
            # An utterance begins a pad before it is known to: that much may be in both.
            pad = SAMPLE_RATE * SETTINGS.speech_pad_ms // 1000
            assert end <= utterance.start_sample + pad or miss.start_sample >= utterance.end_sample
    starts = [miss.start_sample for miss in missed]
    assert starts == sorted(starts)


def test_ranges_are_taken_out():
    assert list(without((0, 10), [(2, 3), (5, 7)])) == [(0, 2), (3, 5), (7, 10)]
    assert list(without((0, 10), [(0, 4), (3, 10)])) == []
    assert list(without((5, 10), [(0, 5), (10, 12)])) == [(5, 10)]
