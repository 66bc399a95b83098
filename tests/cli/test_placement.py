"""How good a place is, from levels alone."""

import pytest

from edge_asr.capture.levels import Level
from edge_asr.cli.placement import Placement


def place(*rms_dbfs):
    placement = Placement()
    for each in rms_dbfs:
        placement.add(Level(each, each + 10))
    return placement.place


def test_nothing_is_said_of_a_place_before_two_seconds_were_heard():
    assert place(*[-40.0] * 19) is None
    assert place(*[-40.0] * 20) is not None


def test_the_background_is_what_is_there_between_words():
    found = place(*[-60.0] * 40, *[-25.0] * 60)
    assert (found.background_dbfs, found.speech_dbfs) == (-60.0, -25.0)
    assert found.above_background_db == 35.0


@pytest.mark.parametrize(
    ("background_dbfs", "words"),
    [(-60.0, "a good place"), (-40.0, "noise costs words"), (-30.0, "closer to the mouth")],
)
def test_the_advice_is_about_the_place_and_not_about_the_gain(background_dbfs, words):
    assert words in place(*[background_dbfs] * 50, *[-25.0] * 50).advice
    assert words in place(*[background_dbfs - 20] * 50, *[-45.0] * 50).advice


def test_a_single_knock_is_no_speech():
    assert place(*[-50.0] * 99, -3.0).above_background_db == 0.0
