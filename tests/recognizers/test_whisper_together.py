"""Real utterances that are decoded together say what they say alone, doubted ones too."""

from difflib import SequenceMatcher

import numpy as np
import pytest

from edge_asr.bundle import open_bundle
from edge_asr.evaluation.systems import read_waveform
from edge_asr.recognizers import open_recognizer
from edge_asr.recognizers.together import transcribe_all
from edge_asr.recognizers.whisper_window import companies
from edge_asr.records import Request

REQUEST = Request(language="en", keywords=("voicemail",))


@pytest.mark.bundle
def test_utterances_say_together_what_they_say_alone(bundles, sample):
    speech = [read_waveform(path) for path in sorted(sample.glob("en-*.flac"))]
    noise = np.random.default_rng(4).normal(0, 0.05, 48_000).astype(np.float32)
    sounds = [*speech, noise, noise[:0], np.concatenate([*speech, noise])[: 40 * 16_000]]
    recognizer = open_recognizer(open_bundle(bundles / "whisper-tiny.en"), n_threads=1)

    together = transcribe_all(recognizer, sounds, REQUEST)
    alone = [recognizer.transcribe(sound, REQUEST) for sound in sounds]

    assert sum(bool(each.text) for each in together) >= len(speech)
    for one, other in zip(together, alone, strict=True):
        # Neighbours move a row's numbers by a rounding step: a comma may differ, seldom a word.
        assert SequenceMatcher(None, one.text.split(), other.text.split()).ratio() > 0.7 or (
            "full_window" in one.flags + other.flags
        )
        if one.text == other.text:
            times = [[word.start_s for word in each.words] for each in (one, other)]
            np.testing.assert_allclose(*times, atol=0.3)


def test_company_is_of_about_one_length_and_nobody_is_left_out():
    n_frames = [100, 300, 125, 1500, 275, 250, 225, 100]
    found = list(companies(n_frames))
    assert found == [[3], [1, 4, 5], [6], [2, 0, 7]]
