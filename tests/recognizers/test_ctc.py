"""Reading the CTC head: characters, certainty, and when each word was said."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.recognizers.ctc import CtcLabels, read_ctc
from edge_asr.recognizers.ctc_alignment import align, word_times
from edge_asr.records import Word

LABELS = CtcLabels(blank=0, latin_labels=256, katakana_first=0x30A1)
N_LABELS = 348


def logits_of(frames, *, peak=20.0):
    """Return logits that are sure of one label in each frame."""
    logits = np.zeros((len(frames), N_LABELS), np.float32)
    logits[np.arange(len(frames)), frames] = peak
    return logits


def frames_of(text, *, each=1, blanks=1):
    """Return the labels of frames in which a text is said."""
    frames = []
    for character in text:
        label = LABELS.label(character, N_LABELS)
        frames += [label] * each + [0] * blanks
    return frames


def read(frames):
    return read_ctc(logits_of(frames), LABELS)


def test_repeats_are_one_character_and_blanks_none():
    h, e, i = (ord(each) for each in "hel"[:2] + "l")
    assert read([0, h, h, 0, e, e, e, i, i, 0, i, 0, ord("o"), 0]).text == "hello"


def test_white_space_is_one_space_between_words():
    assert read(frames_of("  so  it is ")).text == "so it is"


@pytest.mark.parametrize("text", ["paraîtra", "pêcheur", "größe", "mañana", "avião", "it's"])
def test_labels_below_256_are_code_points(text):
    assert read(frames_of(text)).text == text


def test_the_other_labels_are_katakana():
    assert LABELS.character(256) == "ァ"
    assert read([256 + ord("カ") - 0x30A1, 256 + ord("ナ") - 0x30A1, 347]).text == "カナー"


@given(st.integers(1, N_LABELS - 1))
def test_a_label_is_its_characters_label(label):
    if character := LABELS.character(label):
        assert LABELS.label(character, N_LABELS) == label


@pytest.mark.parametrize("character", ["", "あ", "漢", "€", "\n", "\x7f"])
def test_characters_outside_the_alphabet_have_no_label(character):
    if character:
        assert LABELS.label(character, N_LABELS) is None
    assert LABELS.character(127) == LABELS.character(10) == LABELS.character(0) == ""


@pytest.mark.parametrize("frames", [[0] * 50, [0, 32, 0, 32], [0, 7, 0, 130], []])
def test_blanks_spaces_and_control_characters_are_no_text(frames):
    assert read(frames).text == ""


def test_the_share_of_blanks_counts_frames():
    assert read([0, 0, 0, 97]).blank_share == 0.75
    assert read([0] * 5).blank_share == 1.0
    assert read([]).blank_share == 1.0


def test_the_entropy_is_nothing_where_the_head_is_sure_and_all_where_it_knows_nothing():
    logits = logits_of([97, 98, 99], peak=60.0)
    logits[1] = 0.0
    logits[2] = -100.0
    logits[2, :2] = 0.0
    entropies = read_ctc(logits, LABELS).entropies
    np.testing.assert_allclose(entropies, [0.0, np.log(N_LABELS), np.log(2)], atol=1e-4)


def times(text, frames, **kwargs):
    return word_times(logits_of(frames, **kwargs), text, LABELS, frame_s=0.02)


def test_words_are_where_their_letters_are():
    frames = [0] * 10 + frames_of("so") + [0] * 20 + frames_of(" it") + [0] * 5
    so, it = times("So, it!", frames)
    assert (so.text, it.text) == ("So,", "it!")
    assert so == Word("So,", pytest.approx(0.20), pytest.approx(0.26))
    assert it == Word("it!", pytest.approx(0.02 * 36), pytest.approx(0.02 * 39))


def test_a_letter_said_twice_has_a_blank_between():
    (word,) = times("aa", [97, 0, 97, 0])
    assert word == Word("aa", 0.0, pytest.approx(0.06))


def test_a_text_that_differs_from_what_the_head_reads_still_has_times():
    frames = frames_of("spoilet") + [0] * 10 + frames_of(" cat")
    spoiled, cat = times("spoiled cat", frames, peak=8.0)
    assert spoiled.end_s <= 0.02 * 15
    assert cat.start_s == pytest.approx(0.02 * 26)


def test_words_without_letters_have_no_times_and_do_not_hinder_the_others():
    frames = frames_of("one two")
    assert [word.text for word in times("one - two", frames)] == ["one", "two"]


def test_text_in_another_script_has_no_times():
    assert times("これは漢字です", [256 + 40] * 30) == ()
    assert times("", [97] * 30) == ()
    assert times("...", [97] * 30) == ()


def test_more_letters_than_frames_have_no_times():
    assert times("longer", frames_of("abc", blanks=0)) == ()
    assert times("aa", [97, 97]) == ()  # the blank between has no frame


def total(log_probs, path):
    return log_probs[np.arange(len(path)), path].sum()


def collapsed(path):
    kept = [
        label
        for place, label in enumerate(path)
        if label and (place == 0 or path[place - 1] != label)
    ]
    return tuple(kept)


@given(st.data())
def test_the_path_found_is_the_best_of_all(data):
    n_frames = data.draw(st.integers(1, 5))
    sequence = data.draw(st.lists(st.integers(1, 2), min_size=1, max_size=3))
    random = np.random.default_rng(data.draw(st.integers(0, 10**6)))
    log_probs = random.normal(size=(n_frames, 3)).astype(np.float32)
    paths = np.array(np.meshgrid(*[range(3)] * n_frames)).reshape(n_frames, -1).T
    fitting = [path for path in paths if collapsed(path) == tuple(sequence)]

    found = align(log_probs, sequence, blank=0)

    if not fitting:
        assert found is None
        return
    path = np.zeros(n_frames, dtype=int)
    for label, (first, last) in zip(sequence, found, strict=True):
        path[first : last + 1] = label
    assert collapsed(path) == tuple(sequence)
    best = max(total(log_probs, each) for each in fitting)
    assert total(log_probs, path) == pytest.approx(best, abs=1e-5)
