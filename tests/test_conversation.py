"""What was said just before is handed on, as long as it can help and nobody doubts it."""

import dataclasses

import numpy as np
import pytest

from edge_asr.context import Context, Said
from edge_asr.conversation import LONGEST_PAUSE_S, Conversation, Conversations
from edge_asr.records import SAMPLE_RATE, Recognition, Task


def heard(text, **given):
    plain = Recognition(
        text=text,
        language="en",
        language_probability=None,
        task=Task.TRANSCRIBE,
        decode_s=0.1,
        avg_logprob=-0.2,
    )
    return dataclasses.replace(plain, **given)


def sound(seconds=1.0):
    return np.full(int(seconds * SAMPLE_RATE), 0.1, np.float32)


@pytest.fixture
def conversation():
    return Conversation()


def test_nothing_was_said_before_the_first(conversation):
    assert conversation.before(0.0) is None


def test_what_is_known_to_come_before_is_handed_to_the_first_alone():
    known = Context((Said("Line four, night shift."),), None)
    conversation = Conversation(known)
    assert conversation.before(60.0) == known

    conversation.add(60.0, 61.0, heard("close the valve"), sound())

    assert conversation.before(61.5).text == "close the valve"
    assert conversation.before(90.0) is None


def test_what_was_said_is_handed_on_until_a_long_pause(conversation):
    conversation.add(1.0, 3.0, heard("close the valve"), sound())

    assert conversation.before(3.0) == Context((Said("close the valve"),), "en")
    assert conversation.before(3.0 + LONGEST_PAUSE_S) is not None
    assert conversation.before(3.1 + LONGEST_PAUSE_S) is None


def test_what_comes_late_has_nothing_before_it(conversation):
    conversation.add(10.0, 13.0, heard("close the valve"), sound())

    assert conversation.before(2.0) is None


def test_it_grows_while_people_go_on_in_one_language(conversation):
    conversation.add(0.0, 1.0, heard("close"), sound())
    conversation.add(1.5, 2.0, heard("the valve"), sound())
    assert conversation.before(2.5) == Context((Said("close"), Said("the valve")), "en")
    conversation.add(2.5, 3.0, heard("ferme la vanne", language="fr"), sound())
    assert conversation.before(3.5) == Context((Said("ferme la vanne"),), "fr")
    conversation.add(60.0, 61.0, heard("jamais", language="fr"), sound())
    assert conversation.before(61.5) == Context((Said("jamais"),), "fr")


def test_it_does_not_grow_without_end(conversation):
    for second in range(200):
        conversation.add(second, second + 0.9, heard("again and again"), sound())

    assert 400 <= len(conversation.before(200.0).text) < 450


def test_the_sound_of_the_last_seconds_is_kept(conversation):
    for second in (0.0, 6.0, 12.0):
        conversation.add(second, second + 6.0, heard("again"), sound(6.0))

    kept = [each.waveform is not None for each in conversation.before(18.0).said]
    assert kept == [False, True, True]


@pytest.mark.parametrize(
    "doubted",
    [
        {"flags": ("repetition",)},
        {"avg_logprob": -1.1},
        {"text": " "},
        {"task": Task.TRANSLATE},
    ],
)
def test_what_is_doubted_is_forgotten_with_all_before_it(conversation, doubted):
    conversation.add(0.0, 1.0, heard("close the valve"), sound())
    conversation.add(1.5, 2.0, heard(**{"text": "thank you", **doubted}), sound())

    assert conversation.before(2.1) is None


def test_how_a_text_was_found_is_no_doubt(conversation):
    flags = ("keywords", "full_window", "heard_in_parts")
    conversation.add(0.0, 1.0, heard("close valve K48", flags=flags), sound())

    assert conversation.before(1.5).text == "close valve K48"


def test_a_family_that_gives_no_probabilities_is_believed(conversation):
    conversation.add(0.0, 1.0, heard("close the valve", avg_logprob=None), sound())

    assert conversation.before(1.5) is not None


def test_each_source_has_its_own(make_utterance):
    conversations = Conversations()
    said = make_utterance("left", start_s=1.0, duration_s=2.0)
    conversations.add(said, heard("close the valve"), sound())

    assert conversations.before(make_utterance("left", start_s=4.0)).text == "close the valve"
    assert conversations.before(make_utterance("right", start_s=4.0)) is None
    assert conversations.before(make_utterance("left", start_s=4.0, boot_id="other")) is None


@pytest.fixture
def make_utterance():
    from edge_asr.records import ClockQuality, EndReason, Instant, Utterance

    def make(source, *, start_s, duration_s=1.0, boot_id="boot"):
        start = Instant(0, int(start_s * 1e9), boot_id, ClockQuality.RTC)
        return Utterance(
            utterance_id=1,
            uid="u",
            source=source,
            start=start,
            n_samples=int(16_000 * duration_s),
            end_reason=EndReason.PAUSE,
            audio_path="a.flac",
            audio_sha256="",
        )

    return make
