"""A sentence that was left out is found by the sound it has, and heard."""

from dataclasses import replace

import numpy as np
import pytest

from edge_asr.recognizers.skipped import PARTS_FLAG, SKIPPED_FLAG, skipped
from edge_asr.recognizers.whisper import WhisperRecognizer
from edge_asr.records import SAMPLE_RATE, Recognition, Request, Task, Word


def sound(*stretches):
    """Return noise, as (seconds, loudness) after each other."""
    rng = np.random.default_rng(8)
    noise = rng.standard_normal(sum(int(each * SAMPLE_RATE) for each, _ in stretches))
    loudness = np.repeat(
        [level for _, level in stretches], [int(each * SAMPLE_RATE) for each, _ in stretches]
    )
    return (noise * loudness).astype(np.float32)


def spoken(duration_s, loudness=0.1):
    """Return stretches like syllables: loud for a fifth of a second, then quieter."""
    return [(0.2, loudness), (0.1, loudness / 8)] * round(duration_s / 0.3)


def words(*spans):
    """Return a word for each half second of some spans."""
    return tuple(
        Word(f"w{at}", float(at), float(at) + 0.5)
        for start, end in spans
        for at in np.arange(start, end, 0.5)
    )


SPEECH, PAUSE = 0.1, 0.001
THREE = sound(*spoken(3), (1, PAUSE), *spoken(3), (1, PAUSE), *spoken(3))
"""Three sentences: 0 to 3, 4 to 7 and 8 to 11 seconds."""


@pytest.mark.parametrize(
    ("heard", "gap"),
    [
        (words((0, 3), (4, 7), (8, 11)), None),
        (words((0, 3), (8, 11)), (3.0, 8.0)),
        (words((4, 7), (8, 11)), (0.0, 4.0)),
        (words((0, 3), (4, 7)), (7.0, 11.0)),
        (words((0, 3)), (3.0, 11.0)),
    ],
)
def test_loud_sound_without_words_was_skipped_wherever_it_is(heard, gap):
    assert skipped(THREE, heard) == gap


@pytest.mark.parametrize(
    "waveform",
    [
        sound(*spoken(3), (5, PAUSE), *spoken(3)),  # a long pause
        sound(*spoken(3), (5, SPEECH / 8), *spoken(3)),  # a noisy one
        sound(*spoken(3), (5, SPEECH), *spoken(3)),  # one with noise as loud as speech
        sound(*spoken(3), (2, PAUSE), (1, SPEECH), (2, PAUSE), *spoken(3)),  # a door
        sound((3, 0.0), (5, 0.0), (3, 0.0)),
    ],
)
def test_a_pause_is_no_skipped_sentence(waveform):
    assert skipped(waveform, words((0, 3), (8, 11))) is None


def test_slow_speech_with_short_gaps_is_none_either():
    slow = tuple(Word("w", at, at + 0.3) for at in np.arange(0.0, 11.0, 2.0))

    assert skipped(THREE, slow) is None


def recognition(heard):
    text = " ".join(word.text for word in heard)
    return Recognition(text, "en", None, Task.TRANSCRIBE, 0.5, -0.1, words=heard)


class Whisper(WhisperRecognizer):
    """Hears in each part what it is told to hear there."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.lengths_s = []

    def check(self, request):
        pass

    def _in_pieces(self, waveforms, _request):
        self.lengths_s.append([len(waveform) / SAMPLE_RATE for waveform in waveforms])
        return self.answers.pop(0)


def test_what_was_skipped_is_heard_when_the_sound_is_cut_there():
    first = recognition(words((0, 3), (8, 11)))
    parts = [recognition(words((0, 3))), recognition(words((0.5, 3.5), (4.5, 7.5)))]
    whisper = Whisper([first], parts)

    found = whisper.transcribe(THREE, Request())

    assert found.flags == (PARTS_FLAG,)
    assert found.text == " ".join(part.text for part in parts)
    cut_s = whisper.lengths_s[1][0]
    assert 3.0 < cut_s < 4.0  # in the pause before what was skipped
    assert found.words[6].start_s == pytest.approx(0.5 + cut_s, abs=0.001)
    assert found.decode_s == pytest.approx(1.5)


def test_what_stays_without_words_is_marked_and_the_text_kept():
    first = recognition(words((0, 3), (8, 11)))
    whisper = Whisper([first], [recognition(words((0, 3))), recognition(words((4.5, 7.5)))])

    found = whisper.transcribe(THREE, Request())

    assert (found.text, found.flags) == (first.text, (SKIPPED_FLAG,))


def test_a_doubtful_second_hearing_is_not_taken_nor_a_doubtful_first_one_repeated():
    first = recognition(words((0, 3), (8, 11)))
    doubtful = replace(recognition(words((0.5, 9.5))), flags=("low_probability",))
    whisper = Whisper([first], [recognition(words((0, 3))), doubtful])

    found = whisper.transcribe(THREE, Request())

    assert (found.text, found.flags) == (first.text, (SKIPPED_FLAG,))
    doubted = replace(first, flags=("low_probability",))
    assert Whisper([doubted]).transcribe(THREE, Request()) == doubted


def test_what_is_complete_is_heard_once():
    whisper = Whisper([recognition(words((0, 3), (4, 7), (8, 11)))])

    assert whisper.transcribe(THREE, Request()).flags == ()
