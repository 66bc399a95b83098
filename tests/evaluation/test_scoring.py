"""How errors are counted, how far chance carries them, and whether confidence means anything."""

import math
import sys

import pytest

from edge_asr.errors import EvaluationError
from edge_asr.evaluation.calibration import calibration, word_calibration, word_confidences
from edge_asr.evaluation.intervals import difference, error_rate
from edge_asr.evaluation.scoring import (
    Difference,
    Errors,
    Stretch,
    _normalizer,
    compare,
    count_errors,
    has_keyword,
    normalised,
)
from edge_asr.records import Word


@pytest.mark.parametrize(
    ("language", "said", "heard", "errors"),
    [
        ("en", "Twenty-five dollars", "$25", Errors(n_words=1)),
        ("en", "It's fine.", "it is fine", Errors(n_words=3)),
        ("de", "Guten Morgen!", "guten Abend", Errors(substitutions=1, n_words=2)),
        ("de", "Guten Morgen!", "Morgen", Errors(deletions=1, n_words=2)),
        ("ja", "今日は", "今日も", Errors(substitutions=1, n_words=3)),
        ("en", "", "thank you", Errors(insertions=2)),
        ("en", "", "", Errors()),
        ("en", "stop the pump", "", Errors(deletions=3, n_words=3)),
    ],
)
def test_errors_are_counted_after_whispers_normalisation(language, said, heard, errors):
    assert count_errors(said, heard, language) == errors


def test_japanese_is_counted_by_character_and_shown_without_spaces():
    assert normalised("今日は、晴れ。", "ja") == "今 日 は 晴 れ"
    assert compare("今日は晴れ", "今日も晴れ", "ja").stretches == (
        Stretch(Difference.EQUAL, "今日", "今日"),
        Stretch(Difference.SUBSTITUTED, "は", "も"),
        Stretch(Difference.EQUAL, "晴れ", "晴れ"),
    )


def test_the_parts_of_an_error_rate_add_up():
    errors = count_errors("stop the big red pump please", "stop that big pump please quickly", "en")

    assert errors.n_errors == errors.substitutions + errors.deletions + errors.insertions
    assert errors.n_words == 6
    assert errors.n_written == 6
    assert errors.n_right == 4


def test_a_keyword_counts_as_a_whole_word_only():
    assert has_keyword("Siemens S7", "the siemens S7, please", "en")
    assert not has_keyword("cap", "a cappuccino", "en")


def test_a_missing_library_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "jiwer", None)

    with pytest.raises(EvaluationError, match=r"pip install 'edge-asr\[evaluate\]'"):
        compare("a", "a", "de")


def test_a_missing_normaliser_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "whisper_normalizer.basic", None)
    _normalizer.cache_clear()

    with pytest.raises(EvaluationError, match="whisper_normalizer"):
        normalised("a", "de")


def test_the_interval_holds_the_rate_and_narrows_with_more_clips():
    few = [Errors(substitutions=index % 3, n_words=10) for index in range(20)]
    found, narrower = error_rate(few), error_rate(few * 20)

    assert found.value == pytest.approx(9.5)
    assert found.low < 9.5 < found.high
    assert narrower.high - narrower.low < (found.high - found.low) / 3


def test_the_interval_is_that_of_theory():
    """Of 400 clips of 10 words with or without one error each, the normal distribution knows."""
    errors = [Errors(substitutions=index % 2, n_words=10) for index in range(400)]
    half_width = 1.96 * 5 / math.sqrt(400)

    found = error_rate(errors)

    assert found.low == pytest.approx(5 - half_width, abs=0.06)
    assert found.high == pytest.approx(5 + half_width, abs=0.06)


def test_fewer_than_five_clips_have_no_interval():
    assert error_rate([Errors(1, 0, 0, 4)] * 4) == (25.0, None, None)


def test_a_difference_on_the_same_clips_is_surer_than_either_rate():
    hard = [Errors(substitutions=index % 10, n_words=10) for index in range(50)]
    worse = [Errors(each.substitutions, insertions=1, n_words=10) for each in hard]

    found = difference(worse, hard)

    assert found == pytest.approx((10.0, 10.0, 10.0))


def test_confidence_that_means_what_it_says_has_no_error(scored):
    said = "red green blue white black pump valve motor press belt"
    half = "red green blue white black cat dog bird fish cow"
    clips = [scored(said, half, avg_logprob=math.log(0.5), name=f"h{n}") for n in range(5)]
    clips += [scored(said, said, avg_logprob=0.0, name=f"r{n}") for n in range(5)]

    found = calibration(clips)

    assert found.error == pytest.approx(0.0)
    assert found.auc == 1.0
    assert [(group.right, group.n_words) for group in found.groups] == [(0.5, 50), (1.0, 50)]


def test_confidence_in_what_is_wrong_shows(scored):
    clips = [scored("stop the pump", "go for it", avg_logprob=0.0) for _ in range(20)]

    assert calibration(clips).error == pytest.approx(1.0)
    assert calibration(clips).auc is None


def test_an_exponent_mends_confidence_that_is_too_low_or_too_high(scored):
    said = "red green blue white black pump valve motor press belt"
    words = said.split()

    def clips(exponent):
        """Return clips of which confidence, to the power of the exponent, tells the right share."""
        found = []
        for n_right in (5, 6, 7, 8, 9) * 8:
            text = " ".join([*words[:n_right], *["wrong"] * (10 - n_right)])
            logprob = math.log(n_right / 10) / exponent
            found.append(scored(said, text, avg_logprob=logprob, name=f"c{len(found)}"))
        return found

    for exponent in (0.5, 1.0, 2.0):
        found = calibration(clips(exponent))
        assert found.exponent == pytest.approx(exponent, abs=0.03)
        assert found.error_with_exponent < 0.02
    assert calibration(clips(0.5)).error > 0.1


def test_the_exponent_is_judged_on_clips_that_it_was_not_fitted_to(scored):
    said = "red green blue white black pump valve motor press belt"
    half = "red green blue white black cat dog bird fish cow"
    clips = [
        scored(said, (said, half)[n % 2], avg_logprob=math.log(0.9), name=f"c{n}")
        for n in range(20)
    ]

    # One half is all right, the other half right: the exponent of neither fits the other.
    found = calibration(clips)

    assert 0.7 < 0.9**found.exponent < 0.8
    assert found.error_with_exponent > 0.3 > found.error


def test_one_clip_is_enough_for_a_figure(scored):
    assert calibration([scored("stop it", "stop it", avg_logprob=-0.1)]).exponent > 0


def test_a_system_that_says_nothing_of_its_confidence_has_no_calibration(scored):
    assert calibration([scored("yes", "yes")]) is None


def words(*given):
    return tuple(Word(text, 0.0, 1.0, probability) for text, probability in given)


def test_each_word_written_has_its_probability_and_whether_it_was_said(scored):
    heard = words(("It's", 0.9), ("pump", 0.8), ("seven,", 0.4), ("now", 0.3), ("please.", None))
    one = scored("it is pump eleven please", "It's pump seven, now please.", words=heard)

    # "it's" is two words after normalisation, and "seven" is 7 to both.
    assert word_confidences(one) == [
        (0.9, True), (0.9, True), (0.8, True), (0.4, False), (0.3, False)
    ]  # fmt: skip


def test_words_that_the_whole_text_makes_one_are_left_out(scored):
    heard = words(("Pump", 0.9), ("twenty", 0.8), ("three", 0.7), ("stops.", 0.6))
    one = scored("pump 23 stops", "Pump twenty three stops.", words=heard)

    assert word_confidences(one) == [(0.9, True), (0.6, True)]


def test_words_are_calibrated_by_their_own_probability(scored):
    said = "red green blue white black pump valve motor press belt"
    sure = [(word, 0.99) for word in said.split()]
    wrong = [("cat", 0.2) if index == 3 else word for index, word in enumerate(sure)]
    clips = [
        scored(said, " ".join(word for word, _ in each), words=words(*each), name=f"{n}")
        for n in range(30)
        for each in (sure, wrong)
    ]

    found = word_calibration(clips)

    assert found.auc == 1.0
    assert found.groups[0].right < 0.7
    assert sum(group.n_words for group in found.groups) == 600
    assert calibration(clips) is None
    assert word_calibration([scored("yes", "yes")]) is None
