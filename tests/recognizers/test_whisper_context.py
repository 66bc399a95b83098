"""Whisper takes what was said before as a hint, and is not led astray by it."""

import pytest

from edge_asr.bundle import open_bundle
from edge_asr.context import Context
from edge_asr.evaluation.systems import read_waveform
from edge_asr.recognizers import open_recognizer
from edge_asr.recognizers.together import transcribe_all
from edge_asr.recognizers.whisper_prompt import LONGEST_CONTEXT
from edge_asr.records import Request

pytestmark = pytest.mark.bundle


@pytest.fixture(scope="module")
def recognizer(bundles):
    return open_recognizer(open_bundle(bundles / "whisper-base"), n_threads=1)


@pytest.fixture(scope="module")
def sounds(sample):
    return [read_waveform(path) for path in sorted(sample.glob("en-*.flac"))]


def _asked(text, language="en", of="en"):
    return Request(language=of, context=Context(text, language))


def test_it_is_heard_and_the_words_stay(recognizer, sounds):
    for sound in sounds:
        alone = recognizer.transcribe(sound, Request(language="en"))
        found = recognizer.transcribe(sound, _asked("This is the voice of a telephone system."))
        assert found.avg_logprob != alone.avg_logprob
        assert found.text.lower().split()[-1].strip(".") == alone.text.lower().split()[-1].strip(
            "."
        )
        assert [word.text for word in found.words] == found.text.split()


def test_only_its_end_is_taken(recognizer, sounds):
    end = "and then press the pound key " * LONGEST_CONTEXT
    found = [
        recognizer.transcribe(sounds[0], _asked(f"{beginning} {end}"))
        for beginning in ("Say your name,", "Quite another thing.")
    ]

    assert found[0].avg_logprob == found[1].avg_logprob


def test_another_language_is_left_out(recognizer, sounds):
    alone = recognizer.transcribe(sounds[0], Request(language="en"))
    found = recognizer.transcribe(sounds[0], _asked("Bitte warten Sie.", "de"))

    assert (found.text, found.avg_logprob) == (alone.text, alone.avg_logprob)


def test_the_language_is_detected_as_without(recognizer, sounds):
    alone = recognizer.transcribe(sounds[0], Request())
    found = recognizer.transcribe(sounds[0], _asked("Please wait for the tone.", "en", of=None))
    other = recognizer.transcribe(sounds[0], _asked("Bitte warten Sie.", "de", of=None))

    assert found.language == other.language == alone.language == "en"
    assert found.language_probability == pytest.approx(alone.language_probability, abs=1e-6)
    assert found.avg_logprob != alone.avg_logprob == other.avg_logprob


def test_text_that_only_repeats_it_is_heard_again_without(recognizer, sounds):
    alone = recognizer.transcribe(sounds[0], Request(language="en"))
    again = recognizer.transcribe(sounds[0], _asked(alone.text))

    assert (again.text, again.avg_logprob) == (alone.text, alone.avg_logprob)


def test_utterances_that_are_heard_together_have_none(recognizer, sounds):
    plain = transcribe_all(recognizer, sounds[:3], Request(language="en"))
    found = transcribe_all(recognizer, sounds[:3], _asked("THIS WAS SHOUTED BEFORE."))

    assert [each.text for each in found] == [each.text for each in plain]
