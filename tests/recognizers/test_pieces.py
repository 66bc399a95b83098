"""Long sound is cut at pauses, and its pieces become one recognition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.recognizers.pieces import all_in_pieces, cuts, even_cuts, in_pieces
from edge_asr.records import Recognition, Task, Word

RATE = 16_000


def loud(duration_s, pauses_s=()):
    """Return noise with half a second of quiet around each of these moments."""
    sound = np.random.default_rng(3).normal(0, 0.1, int(duration_s * RATE)).astype(np.float32)
    for pause_s in pauses_s:
        sound[int((pause_s - 0.25) * RATE) : int((pause_s + 0.25) * RATE)] *= 0.01
    return sound


def test_sound_is_cut_in_the_middle_of_pauses():
    starts = np.array(cuts(loud(25, pauses_s=(3.0, 9.0, 17.5)), 10 * RATE)) / RATE
    assert starts[0] == 0
    np.testing.assert_allclose(starts[1:], [9.0, 17.5], atol=0.11)


@given(st.integers(0, 5000), st.integers(2, 700))
def test_no_piece_is_too_long_or_empty_and_none_is_lost(n_samples, max_samples):
    sound = np.random.default_rng(n_samples).normal(size=n_samples).astype(np.float32)
    lengths = np.diff([*cuts(sound, max_samples), n_samples])
    assert lengths.sum() == n_samples
    assert lengths.max() <= max_samples
    assert n_samples == 0 or lengths.min() > 0


def test_what_fits_is_heard_whole():
    sound = loud(10)
    heard = []
    in_pieces(sound, 10.0, lambda piece: heard.append(piece) or said("all"))
    assert [len(piece) for piece in heard] == [len(sound)]


def said(text, **facts):
    fields = {"language": "en", "language_probability": None, "avg_logprob": None} | facts
    return Recognition(text=text, task=Task.TRANSCRIBE, decode_s=0.5, **fields)


def test_pieces_become_one_with_the_words_where_they_were_said():
    answers = iter(
        [
            said("one", avg_logprob=-0.1, words=(Word("one", 1.0, 1.5),), ctc_max_entropy=0.5),
            said("", flags=("no_speech",)),
            said("three", avg_logprob=-0.5, words=(Word("three", 0.5, 1.0),), flags=("x",)),
        ]
    )
    sound = loud(25, pauses_s=(9.0, 18.0))
    found = in_pieces(sound, 10.0, lambda _piece: next(answers))
    assert found.text == "one three"
    assert found.flags == ("x",)
    assert found.decode_s == 1.5
    assert found.ctc_max_entropy == 0.5
    assert found.avg_logprob == pytest.approx(-0.35)
    one, three = found.words
    assert one == Word("one", 1.0, 1.5)
    assert three.start_s == pytest.approx(18.5, abs=0.12)


def test_the_language_is_that_of_most_of_the_text_as_sure_as_where_it_was_least():
    answers = iter(
        [
            said("ja", language="de", language_probability=0.9),
            said("a longer text", language_probability=0.8),
            said("and more", language_probability=0.6),
        ]
    )
    found = in_pieces(loud(25), 10.0, lambda _piece: next(answers))
    assert (found.language, found.language_probability) == ("en", 0.6)


def test_silence_in_all_pieces_is_silence():
    found = in_pieces(loud(25), 10.0, lambda _piece: said("", flags=("no_speech",)))
    assert (found.text, found.flags, found.avg_logprob) == ("", ("no_speech",), None)


def test_long_sound_is_cut_at_the_pauses_nearest_to_even_pieces_only():
    sound = loud(27, pauses_s=(2.0, 8.2, 13.0, 19.5, 26.0))
    starts = np.array(even_cuts(sound, 12 * RATE)) / RATE
    np.testing.assert_allclose(starts, [0.0, 8.2, 19.5], atol=0.11)


@given(st.integers(1, 5000), st.integers(2, 700))
def test_pieces_are_about_even_and_none_is_lost(n_samples, usual_samples):
    sound = np.random.default_rng(n_samples).normal(size=n_samples).astype(np.float32)
    lengths = np.diff([*even_cuts(sound, usual_samples), n_samples])
    assert lengths.sum() == n_samples
    assert lengths.min() > 0
    assert lengths.max() <= 1.6 * usual_samples + 2


def test_pieces_of_several_sounds_are_heard_together_and_joined_apart():
    sounds = [loud(5), loud(25, pauses_s=(9.0, 17.0)), loud(14)]
    calls = []

    def recognize_all(pieces):
        calls.append([len(piece) for piece in pieces])
        return [said(f"{n}") for n in range(len(pieces))]

    found = all_in_pieces(sounds, 15.0, 10.0, recognize_all)
    assert [each.text for each in found] == ["0", "1 2 3", "4"]
    (lengths,) = calls
    assert sum(lengths[1:4]) == len(sounds[1])
