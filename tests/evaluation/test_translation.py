"""Translations are held against a person's, where there is one."""

from dataclasses import replace

import pytest

from edge_asr.errors import AudioFileError, EvaluationError
from edge_asr.evaluation.translation import (
    ALL,
    as_fields,
    qualities,
    translate,
    with_reference,
)
from tests.evaluation.conftest import clip, heard

THANKS = "Thank you for trying out the open source system."
CLIPS = [
    replace(clip("Merci d'avoir essayé.", "a", "fr"), translations={"en": THANKS}),
    replace(clip("Hasta luego, amigo mío.", "b", "es"), translations={"en": "See you, my friend."}),
    replace(clip("Hello.", "c"), translations={"en": "Hello.", "fr": "Bonjour."}),
    clip("Danke.", "d", "de"),
]


class Translator:
    """Says what it was told for each clip."""

    def __init__(self, name, said, languages=("fr", "es")):
        self.name, self.said, self.languages = name, said, frozenset(languages)

    def hear(self, spoken):
        if spoken.path.stem not in self.said:
            raise AudioFileError(f"{spoken.path.stem}: the file is empty")
        return heard(self.said[spoken.path.stem])


def run(*systems):
    complaints = []
    done = translate(
        with_reference(CLIPS, "en"),
        systems,
        progress=lambda _done, _total: None,
        complain=complaints.append,
    )
    return done, complaints


def test_only_what_a_person_translated_from_another_language_is_heard():
    assert [(each.path.stem, each.text) for each in with_reference(CLIPS, "en")] == [
        ("a", THANKS),
        ("b", "See you, my friend."),
    ]
    with pytest.raises(EvaluationError, match="no clip has a translation into 'ja'"):
        with_reference(CLIPS, "ja")


def test_a_perfect_translation_has_a_hundred_points_and_a_poor_one_few():
    perfect = Translator("perfect", {"a": THANKS, "b": "See you, my friend."})
    poor = Translator("poor", {"a": "Goodbye and thanks for the fish.", "b": "Until then."})

    done, _ = run(perfect, poor)
    found = {(each.system, each.language): each for each in qualities(done)}

    assert list(found) == [
        *(("perfect", ALL), ("perfect", "fr"), ("perfect", "es")),
        *(("poor", ALL), ("poor", "fr"), ("poor", "es")),
    ]
    assert found["perfect", ALL].bleu == pytest.approx(100.0)
    assert found["perfect", ALL].chrf == pytest.approx(100.0)
    assert found["poor", ALL].bleu < 20
    assert 0 < found["poor", ALL].chrf < 50
    assert (found["perfect", ALL].n_clips, found["perfect", "fr"].n_clips) == (2, 1)
    fields = as_fields(list(found.values()), done)
    assert fields["clips"][0]["reference"] == THANKS


def test_what_cannot_be_read_or_is_in_no_known_language_is_left_out():
    done, complaints = run(Translator("half", {"a": "Thanks."}))

    assert [each.clip_id for each in done] == [CLIPS[0].clip_id]
    assert complaints == ["b: the file is empty"]
    with pytest.raises(EvaluationError, match="languages of the bundle"):
        run(Translator("none", {}, ("ja",)))
