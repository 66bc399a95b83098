"""Numbers in words become digits, where they are numbers and where that is asked for."""

import sys

import pytest

from edge_asr.config import parse_config
from edge_asr.errors import ConfigError
from edge_asr.formats import FileTranscript, Segment
from edge_asr.numerals import Numerals
from edge_asr.records import Word
from edge_asr.rewriting import configured


@pytest.mark.parametrize(
    ("language", "text", "in_digits"),
    [
        ("en", "Open valve twenty-three, please.", "Open valve 23, please."),
        ("en", "It is two point five, the twenty-first time.", "It is 2.5, the 21st time."),
        ("en", "Code one two three. Stop.", "Code 1 2 3. Stop."),
        ("en", "One of them has two doors.", "One of them has two doors."),
        ("de", "Dreiundzwanzig Pumpen, zwei Komma fünf bar.", "23 Pumpen, 2,5 bar."),
        ("fr", "Il y a quatre-vingt-quinze vannes.", "Il y a 95 vannes."),
        ("es", "Tengo veintitrés bombas.", "Tengo 23 bombas."),
        ("pt", "Tenho vinte e três bombas.", "Tenho 23 bombas."),
        ("nl", "Ik heb drieëntwintig pompen.", "Ik heb 23 pompen."),
        ("it", "Ho ventitré pompe.", "Ho 23 pompe."),
        ("da", "Jeg har treogtyve pumper.", "Jeg har 23 pumper."),
        ("ja", "ポンプは二十三台です。", "ポンプは二十三台です。"),
        ("und", "twenty-three", "twenty-three"),
        ("en", "", ""),
        ("en", "Nothing  to\ndo in 24 hours.", "Nothing  to\ndo in 24 hours."),
    ],
)
def test_numbers_are_written_as_digits_and_all_else_stays(language, text, in_digits):
    assert Numerals().apply(text, language) == in_digits


def test_nothing_is_rewritten_unless_it_is_asked_for():
    config = parse_config("")

    assert configured(config).steps == ()
    assert configured(config, numerals=True).apply("twenty-three", "en") == "23"
    on = parse_config("recognition: {numerals: true}")
    assert configured(on).apply("twenty-three", "en") == "23"
    assert configured(on, numerals=False).steps == ()


def test_without_the_extra_the_error_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "text_to_num", None)

    with pytest.raises(ConfigError, match=r"pip install 'edge-asr\[numerals\]'"):
        Numerals()


def test_a_file_keeps_the_text_that_was_heard_beside_the_one_that_was_asked_for():
    words = (Word("valve", 1.0, 1.4, 0.9), Word("twenty-three", 1.4, 2.0, 0.8))
    changed = Segment(1.0, 2.0, "valve twenty-three", "en", -0.1, words=words)
    same = Segment(3.0, 4.0, "Stop.", "en")
    found = FileTranscript("a.wav", "en", 5.0, 0.1, (changed, same))
    config = parse_config("corrections: [{pattern: valve 23, replacement: V23}]")

    first, second = configured(config, numerals=True).of_file(found).segments

    assert (first.text, first.heard, first.avg_logprob) == ("V23", "valve twenty-three", -0.1)
    assert first.words == (Word("V23", 1.0, 2.0),)
    assert second == same
