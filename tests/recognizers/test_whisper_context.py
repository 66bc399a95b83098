"""Whisper takes what was said before as a hint, and is not led astray by it."""

import dataclasses

import numpy as np
import pytest

from edge_asr.bundle import open_bundle
from edge_asr.context import Context, Said
from edge_asr.evaluation.systems import read_waveform
from edge_asr.recognizers import open_recognizer
from edge_asr.recognizers.together import transcribe_all
from edge_asr.recognizers.whisper_prompt import LONGEST_CONTEXT
from edge_asr.records import SAMPLE_RATE, Request

pytestmark = pytest.mark.bundle


@pytest.fixture(scope="module")
def recognizer(bundles):
    return open_recognizer(open_bundle(bundles / "whisper-base"), n_threads=1)


@pytest.fixture(scope="module")
def sounds(sample):
    return [read_waveform(path) for path in sorted(sample.glob("en-*.flac"))]


def _asked(text, language="en", of="en"):
    return Request(language=of, context=Context((Said(text),), language))


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


def test_text_in_any_language_is_a_hint_if_it_names_none(recognizer, sounds):
    named, unnamed = (
        recognizer.transcribe(sounds[0], _asked("Please wait for the tone.", of=None, language=of))
        for of in ("en", None)
    )

    assert (unnamed.text, unnamed.avg_logprob) == (named.text, named.avg_logprob)


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


@pytest.fixture(scope="module")
def halves(sample, recognizer):
    """Return a sentence cut in two: both sounds, what the first says, the second's first word."""
    sound = read_waveform(sample / "en-demo-thanks.flac")
    words = recognizer.transcribe(sound, Request(language="en")).words
    middle = words[len(words) // 2]
    cut = int(middle.start_s * SAMPLE_RATE)
    said = " ".join(word.text for word in words[: len(words) // 2])
    return sound[:cut], sound[cut:], said, middle.text


def _behind(first, said, language="en", of="en"):
    return Request(language=of, context=Context((Said(said, first),), language))


def test_an_utterance_is_heard_behind_the_sound_before_it(recognizer, halves):
    first, second, said, word = halves
    found = recognizer.transcribe(second, _behind(first, said))
    hinted = recognizer.transcribe(second, _asked(said))

    assert found.text.split()[0].casefold() == word.casefold()
    assert found.avg_logprob != hinted.avg_logprob
    assert said.casefold() not in found.text.casefold()
    assert [each.text for each in found.words] == found.text.split()
    assert 0.0 <= found.words[0].start_s < 0.5
    assert found.words[-1].end_s <= len(second) / SAMPLE_RATE
    starts = [each.start_s for each in found.words]
    assert starts == sorted(starts)


def test_noise_behind_speech_is_no_speech(recognizer, sounds):
    noise = np.random.default_rng(5).normal(0.0, 0.01, 2 * SAMPLE_RATE).astype(np.float32)
    said = recognizer.transcribe(sounds[0], Request(language="en"))
    found = recognizer.transcribe(noise, _behind(sounds[0], said.text))

    assert (found.text, found.flags, found.words) == ("", ("no_speech",), ())


def test_the_sound_before_does_not_decide_the_language(recognizer, sample, halves):
    first, second, said, _ = halves
    alone = recognizer.transcribe(second, Request())
    found = recognizer.transcribe(second, _behind(first, said, of=None))
    assert found.language == "en"
    assert found.language_probability == pytest.approx(alone.language_probability, abs=1e-6)

    spanish = read_waveform(sample / "es-vm-nobodyavail.flac")
    alone = recognizer.transcribe(spanish, Request())
    found = recognizer.transcribe(spanish, _behind(first, said, of=None))
    assert found.language == "es"
    assert (found.text, found.avg_logprob) == (alone.text, alone.avg_logprob)


def test_keywords_are_weighed_behind_the_sound_before(recognizer, halves):
    first, second, said, word = halves
    plain = recognizer.transcribe(second, _behind(first, said))
    request = dataclasses.replace(_behind(first, said), keywords=(f"{plain.text.split()[1]}",))
    found = recognizer.transcribe(second, request)

    assert found.text.casefold().split()[:2] == plain.text.casefold().split()[:2]
    assert said.casefold() not in found.text.casefold()
    assert word.casefold() in found.text.casefold()
