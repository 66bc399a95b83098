"""Which stretches of a text sound like a keyword."""

import pytest

from edge_asr.recognizers.sounding_alike import LEAST_LIKENESS, sounding_alike

KEYWORDS = (
    *("Kowalczyk", "Modbus", "poka-yoke", "gudgeon pin", "Grundfos", "K47", "AX9", "servoflange"),
    *("Sinumerik", "Allen-Bradley"),
)


def replaced(text, keywords=KEYWORDS):
    return [stretch.replaced_in(text) for stretch in sounding_alike(text, keywords, 1)]


@pytest.mark.parametrize(
    ("heard", "meant"),
    [
        ("We found cowl chick today.", "We found Kowalczyk today."),
        ("The madbuss is missing.", "The Modbus is missing."),
        ("Replace the POCYOK.", "Replace the poka-yoke."),
        ("I saw Gajan Penn there.", "I saw gudgeon pin there."),
        ("Grunt fuss, again!", "Grundfos, again!"),
        ("A servo flange on line 4.", "A servoflange on line 4."),
        ("He said that Alan Bradley works.", "He said that Allen-Bradley works."),
        ("the K-47 there", "the K47 there"),
        ("Köwalshik's shelf", "Kowalczyk's shelf"),
    ],
)
def test_a_keyword_is_found_in_what_it_was_heard_as(heard, meant):
    assert replaced(heard) == [meant]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "...",
        "Order two more for tomorrow.",
        "Kowalczyk and the Modbus",  # they stand there already
        "KOWALCZYK",
    ],
)
def test_nothing_is_alike(text):
    assert replaced(text) == []


@pytest.mark.parametrize("text", ["The K48 is missing.", "the K is missing", "Take the X-10."])
def test_figures_are_never_changed(text):
    assert replaced(text, ("K47", "AX9")) == []


def test_a_keyword_that_stands_there_is_no_part_of_another():
    assert replaced("the gudgeon pin", ("gudgeon pin", "gudgeon bin")) == []


def test_the_likest_comes_first_and_so_many_are_given_as_were_asked_for():
    text = "The modbuss and the cowl chick"

    found = sounding_alike(text, KEYWORDS, 2)

    assert [stretch.keyword for stretch in found] == ["Modbus", "Kowalczyk"]
    assert 1 >= found[0].likeness > found[1].likeness >= LEAST_LIKENESS
    assert sounding_alike(text, KEYWORDS, 1) == found[:1]


def test_the_same_but_for_spelling_is_wholly_alike():
    assert sounding_alike("Siehnumerick", ["Sinumerik"], 1)[0].likeness > 0.9
    assert sounding_alike("Sinumeric", ["Sinumerick"], 1)[0].likeness == pytest.approx(
        0.967, abs=1e-3
    )
    assert sounding_alike("Phestoh", ["Festo"], 1)[0].likeness < 1
    assert sounding_alike("Phesto", ["Festo"], 1)[0].likeness == 1


@pytest.mark.parametrize(
    ("heard", "keyword", "meant"),
    [
        ("設備のポカヨゲです", "ポカヨケ", "設備のポカヨケです"),
        ("насос Грюндфас стоит", "Грундфос", "насос Грундфос стоит"),
    ],
)
def test_other_scripts_are_compared_letter_by_letter(heard, keyword, meant):
    assert replaced(heard, [keyword]) == [meant]


@pytest.mark.parametrize("keyword", ["", " ", "-", "!?"])
def test_a_keyword_without_letters_is_like_nothing(keyword):
    assert replaced("Some words - indeed!", [keyword]) == []
