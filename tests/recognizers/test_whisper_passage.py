"""An utterance is heard behind what was said before it, as far as there is room."""

import numpy as np
import pytest

from edge_asr.context import Context, Said
from edge_asr.recognizers.whisper_passage import MOST_S, Passage
from edge_asr.recognizers.whisper_window import FRAME_SAMPLES, Window
from edge_asr.records import SAMPLE_RATE, Request

WINDOW = Window(margin=32)


def sound(seconds, level):
    return np.full(int(seconds * SAMPLE_RATE), level, np.float32)


def behind(seconds, *said):
    waveform = sound(seconds, 1.0)
    request = Request(context=Context(said, "en") if said else None)
    passage = Passage(waveform, request, WINDOW.n_frames(len(waveform)))
    return passage.behind_what_was_said(WINDOW)


def test_what_was_said_comes_first_in_its_order_and_is_known():
    found = behind(3.0, Said("one", sound(1.0, 0.1)), Said("two", sound(2.0, 0.2)))

    levels = found.waveform[np.flatnonzero(np.diff(found.waveform, prepend=9.0))]
    np.testing.assert_allclose(levels, [0.1, 0.0, 0.2, 0.0, 1.0])
    assert found.text_before == "one two"
    assert found.request.context is None
    assert found.n_samples == 3 * SAMPLE_RATE
    assert found.n_frames == WINDOW.n_frames(len(found.waveform))


def test_its_own_frames_are_the_last():
    found = behind(3.0, Said("one", sound(1.0, 0.1)))

    assert found.frames == slice(75, 225)  # a second and a pause before
    alone = Passage(sound(3.0, 1.0), Request(), 200)
    assert alone.frames == slice(0, 150)
    assert Passage(sound(3.0, 1.0), Request(), 100).frames == slice(0, 100)
    assert found.frames.stop * FRAME_SAMPLES == len(found.waveform)


def test_what_there_is_no_room_for_stays_a_hint():
    found = behind(
        MOST_S / 2,
        Said("earlier", sound(MOST_S / 2, 0.1)),
        Said("before", sound(2.0, 0.2)),
    )

    assert found.text_before == "before"
    assert found.request.context.text == "earlier"


def test_behind_what_is_not_there_comes_nothing():
    near = Said("near", sound(2.0, 0.2))
    assert behind(3.0, near) is not None
    assert behind(3.0) is None
    assert behind(3.0, Said("its sound is gone")) is None
    assert behind(MOST_S - 2.0, near) is None
    assert behind(3.0, near, Said("its sound is gone")) is None, "they would not be neighbours"


@pytest.mark.parametrize("seconds", [MOST_S - 2.6, MOST_S - 2.4])
def test_the_limit_is_that_of_all_together(seconds):
    found = behind(seconds, Said("near", sound(2.0, 0.2)))

    assert (found is not None) == (seconds + 0.5 + 2.0 <= MOST_S)
