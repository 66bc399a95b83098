"""How much of Whisper's window an utterance is given."""

from hypothesis import given
from hypothesis import strategies as st

from edge_asr.recognizers.whisper_window import FULL_WINDOW, Window

SECOND = 16_000


def test_a_window_is_as_long_as_the_utterance_and_its_margin():
    assert Window(margin=32).n_frames(5 * SECOND) == 300  # 250 + 32, in half seconds
    assert Window(margin=50).n_frames(5 * SECOND) == 300
    assert Window(margin=51).n_frames(5 * SECOND) == 325


def test_no_window_is_longer_than_the_full_one():
    assert Window(margin=32).n_frames(30 * SECOND) == FULL_WINDOW
    assert Window(margin=FULL_WINDOW).n_frames(1) == FULL_WINDOW


@given(n_samples=st.integers(1, 30 * SECOND), margin=st.integers(0, FULL_WINDOW))
def test_all_of_the_utterance_is_heard(n_samples, margin):
    n_frames = Window(margin=margin).n_frames(n_samples)

    assert n_frames == FULL_WINDOW or n_frames * 320 >= n_samples + margin * 320
    assert n_frames % 25 == 0
