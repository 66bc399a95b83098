"""Frames of 512 samples out of sound of any length."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.capture.framing import FRAME_SAMPLES, Framer


@given(st.lists(st.integers(0, 2000), max_size=20))
def test_frames_hold_all_the_sound_in_order_and_zeros_fill_the_last(lengths):
    sound = np.arange(1, sum(lengths) + 1, dtype=np.float32)
    framer, given_out, at = Framer(), [], 0
    for length in lengths:
        frames = framer.push(sound[at : at + length])
        at += length
        assert len(frames) % FRAME_SAMPLES == 0
        assert at - framer.position in range(FRAME_SAMPLES)
        given_out.append(frames)
    given_out.append(framer.flush())
    framed = np.concatenate(given_out)
    assert len(framed) == framer.position == -(-len(sound) // FRAME_SAMPLES) * FRAME_SAMPLES
    np.testing.assert_array_equal(framed[: len(sound)], sound)
    assert not framed[len(sound) :].any()


def test_nothing_is_left_after_a_flush():
    framer = Framer()
    framer.push(np.ones(100, np.float32))
    assert len(framer.flush()) == FRAME_SAMPLES
    assert len(framer.flush()) == 0
