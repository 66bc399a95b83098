"""Two readings of the same speech are told from two texts that have nothing in common."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.recognizers.likeness import edit_distance, is_unlike


@pytest.mark.parametrize(
    ("one", "other", "distance"),
    [("", "", 0), ("abc", "", 3), ("", "abc", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)],
)
def test_known_distances(one, other, distance):
    assert edit_distance(one, other) == distance


def by_definition(one, other):
    if not one or not other:
        return len(one) + len(other)
    return min(
        by_definition(one[1:], other) + 1,
        by_definition(one, other[1:]) + 1,
        by_definition(one[1:], other[1:]) + (one[0] != other[0]),
    )


@given(st.text("ab", max_size=5), st.text("abc", max_size=5))
def test_the_distance_is_the_least_number_of_changes(one, other):
    assert edit_distance(one, other) == by_definition(one, other)


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("For Timothy was a spoiled cat.", "for timothy was a spoilet cat"),
        ("Call 25 people at 9.", "call twenty five people at nine"),
        ("compter le conte du pêcheur", "continuer le compte du pêcheur"),
        ("Ja.", "yeah"),
        ("", ""),
    ],
)
def test_readings_of_the_same_speech_are_alike(text, heard):
    assert not is_unlike(text, heard)


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("thank you for watching and see you next time", "the pump in hall seven is leaking"),
        ("i am going to the store to buy some milk", "ah"),
        ("vielen dank für ihre aufmerksamkeit", "drehzahl auf achthundert"),
    ],
)
def test_invented_text_is_unlike_what_was_heard(text, heard):
    assert is_unlike(text, heard)
