"""Subtitles that can be read: two short lines, shown while they are said."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from edge_asr.cues import LINE_CHARACTERS, LONGEST_S, Cue, cues
from edge_asr.records import Word


def spoken(text, *, word_s=0.3, gap_s=0.1, pauses=()):
    """Words of a text, one after the other; a pause comes before the words of these numbers."""
    words, at_s = [], 0.0
    for number, word in enumerate(text.split()):
        at_s += 2.0 if number in pauses else 0.0
        words.append(Word(word.strip(".,"), round(at_s, 3), round(at_s + word_s, 3)))
        at_s += word_s + gap_s
    return words


LONG = (
    "the pump in hall seven is leaking again and somebody should look at it before the night shift"
)


def test_a_short_text_is_one_line_from_its_first_word_to_its_end():
    assert cues("Stop the line.", spoken("Stop the line."), 2.0) == [
        Cue(0.0, 1.6, ("Stop the line.",))
    ]


def test_a_long_text_is_cut_into_two_lines_of_like_length_at_a_time():
    found = cues(LONG, spoken(LONG), 10.0)
    assert [cue.lines for cue in found] == [
        (
            "the pump in hall seven is leaking again",
            "and somebody should look at it before the",
        ),
        ("night shift",),
    ]
    assert found[0].end_s == found[1].start_s == 6.4


def test_what_is_said_after_a_pause_is_shown_after_it():
    first, second = cues("stop no go on", spoken("stop no go on", pauses=[2]), 9.0)
    assert first.lines == ("stop no",)
    assert second.lines == ("go on",)
    assert second.start_s == 2.8
    assert first.end_s < 1.3, "it does not stay through the pause"


def test_a_sentence_that_fills_a_line_ends_its_cue():
    text = "The pump in hall seven is leaking again now. Somebody should look."
    assert [cue.lines[-1] for cue in cues(text, spoken(text), 9.0)] == [
        "is leaking again now.",
        "Somebody should look.",
    ]


def test_slow_speech_changes_cues_after_seven_seconds():
    found = cues("one two three four", spoken("one two three four", word_s=2.5), 12.0)
    assert [cue.lines for cue in found] == [("one two",), ("three four",)]


def test_text_without_spaces_is_cut_between_its_words():
    words = [Word("ポンプ", i * 0.5, i * 0.5 + 0.4) for i in range(20)]
    found = cues("ポンプ" * 20, words, 10.0)
    assert "".join(line for cue in found for line in cue.lines) == "ポンプ" * 20
    assert all(len(line) <= LINE_CHARACTERS for cue in found for line in cue.lines)


def test_words_that_are_not_in_the_text_are_shown_as_they_are():
    found = cues("25", [Word("twenty", 0.0, 0.4), Word("five", 0.5, 0.9)], 1.2)
    assert found[0].lines == ("twenty five",)


@given(
    words=st.lists(st.text("abcdefgh,.", min_size=1, max_size=60), min_size=1, max_size=60),
    pauses=st.sets(st.integers(1, 59)),
)
def test_nothing_is_lost_no_line_is_long_and_no_cue_overlaps(words, pauses):
    text = " ".join(words)
    timed = [Word(w, *each) for w, each in zip(words, _times(len(words), pauses), strict=True)]
    end_s = timed[-1].end_s + 0.3
    found = cues(text, timed, end_s)
    shown = " ".join(line for cue in found for line in cue.lines)
    assert shown.replace(" ", "") == text.replace(" ", "")
    assert all(len(line) <= LINE_CHARACTERS for cue in found for line in cue.lines)
    assert all(len(cue.lines) <= 2 for cue in found)
    for cue, after in itertools.pairwise(found):
        assert cue.start_s <= cue.end_s <= after.start_s
    assert found[-1].end_s <= end_s
    assert all(cue.end_s - cue.start_s <= LONGEST_S + 0.5 for cue in found)


def _times(n_words, pauses):
    at_s = 0.0
    for number in range(n_words):
        at_s += 1.5 if number in pauses else 0.0
        yield at_s, at_s + 0.25
        at_s += 0.3
