"""Bringing sound to 16 kHz mono."""

import numpy as np
import pytest

from edge_asr.capture.resampling import Resampler, mono
from edge_asr.records import SAMPLE_RATE


def tone(rate, duration_s, hertz=440.0):
    return (0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * duration_s)) / rate)).astype(
        np.float32
    )


def resampled(samples, rate, piece):
    resampler = Resampler(rate)
    pieces = [resampler.push(samples[at : at + piece]) for at in range(0, len(samples), piece)]
    return np.concatenate([*pieces, resampler.flush()])


@pytest.mark.parametrize("rate", [8000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000])
def test_a_tone_stays_the_same_tone_in_the_same_place(rate):
    waveform = resampled(tone(rate, 1.0), rate, rate // 10)
    assert abs(len(waveform) - SAMPLE_RATE) <= 1
    inner = slice(800, -800)  # the filter rings at the edges
    np.testing.assert_allclose(
        waveform[inner], tone(SAMPLE_RATE, 1.0)[: len(waveform)][inner], atol=2e-3
    )


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_pieces_make_no_difference(rate):
    samples = tone(rate, 1.0)
    whole = resampled(samples, rate, len(samples))
    np.testing.assert_allclose(resampled(samples, rate, 777), whole, atol=1e-6)


def test_sound_at_16_khz_passes_through_unchanged():
    noise = np.random.default_rng(1).uniform(-1, 1, 5000).astype(np.float32)
    np.testing.assert_array_equal(resampled(noise, SAMPLE_RATE, 1600), noise)


def test_what_has_not_come_out_yet_is_known():
    resampler = Resampler(48_000)
    n_out = len(resampler.push(tone(48_000, 0.1)))
    assert resampler.pending_ns == 100_000_000 - n_out * 62_500
    resampler.flush()
    assert abs(resampler.pending_ns) <= 62_500


def test_full_scale_sound_stays_within_full_scale():
    square = np.sign(tone(48_000, 0.5)).astype(np.float32)
    assert np.abs(resampled(square, 48_000, 4800)).max() <= 1.0


def test_channels_are_mixed_or_one_is_chosen():
    frames = np.array([[0.5, -0.25], [1.0, 0.0]], np.float32)
    np.testing.assert_array_equal(mono(frames), np.array([0.125, 0.5], np.float32))
    np.testing.assert_array_equal(mono(frames, 1), np.array([-0.25, 0.0], np.float32))
    assert mono(frames).dtype == np.float32


def test_one_channel_is_what_there_is():
    frames = np.array([[0.5], [1.0]], np.float32)
    np.testing.assert_array_equal(mono(frames, 0), frames[:, 0])
