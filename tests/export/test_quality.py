"""The quality report and its limits; which clips are heard; how errors are counted."""

import json
from pathlib import Path

import pytest

from edge_asr.evaluation.clips import Clip
from export.clips import pick_clips, read_clips
from export.errors import QualityError, SampleError
from export.parity import Parity
from export.quality import Comparison, Heard, check_limits, report
from export.recipe import QualityLimits

pytestmark = pytest.mark.export

TEXTS = ["the quick brown fox jumps"] * 20
CLIPS = [Clip(Path(f"{n}.flac"), f"corpus/{n}", "en", text, 2.0) for n, text in enumerate(TEXTS)]
CLOSE = Parity(encoder=1e-4, logits=1e-4)


def _heard(texts, flagged=None):
    return Heard(texts, flagged or [False] * len(texts), decode_s=4.0)


def _report(exported=TEXTS, quantized=TEXTS, parity=CLOSE, flagged=None):
    return report(
        Comparison(
            CLIPS, _heard(TEXTS), _heard(exported, flagged), parity, _heard(quantized), CLOSE
        ),
    )


def _spoiled(n_clips, text="the quick brown fox runs"):
    return [text] * n_clips + TEXTS[n_clips:]


def test_a_bundle_that_loses_nothing_passes():
    quality = _report()
    check_limits(quality, QualityLimits())

    assert quality["wer"]["quantized"] == {"all": 0.0, "en": 0.0}
    assert quality["n_words"] == {"all": 100, "en": 100}
    assert quality["text_identical"] == {"float": 1.0, "quantized": 1.0}
    assert quality["rtf"]["float"] == 0.1


@pytest.mark.parametrize(
    ("quality", "complaint"),
    [
        (
            _report(exported=_spoiled(2)),
            "the float graphs' text is the original's in 90.0% of clips",
        ),
        (_report(quantized=_spoiled(6)), "quantized graphs' WER is 6.00 %, more than 0.5 points"),
        (_report(quantized=_spoiled(6)), "quantized graphs' WER in en is 6.00 %, more than 5"),
        (_report(parity=Parity(0.5, 0.0)), "the float graphs' encoder differ by 0.5"),
        (_report(parity=Parity(0.0, float("nan"))), "the float graphs' logits differ by nan"),
    ],
)
def test_a_missed_limit_is_named_with_its_figure(quality, complaint):
    with pytest.raises(QualityError, match=complaint):
        check_limits(quality, QualityLimits())


def test_one_clip_or_a_few_words_are_chance():
    check_limits(_report(exported=_spoiled(1), quantized=_spoiled(5)), QualityLimits())


def test_limits_are_relative_to_the_original():
    poor = ["something else entirely was heard"] * 20
    both = Comparison(CLIPS, _heard(poor), _heard(poor), CLOSE, _heard(poor), CLOSE)

    check_limits(report(both), QualityLimits())


def test_texts_that_a_guard_cut_do_not_count_as_different():
    flagged = [True] + [False] * 19

    assert _report(exported=_spoiled(1), flagged=flagged)["text_identical"]["float"] == 1.0


def test_a_language_of_few_words_has_no_limit_of_its_own():
    clips = [*CLIPS, Clip(Path("de.flac"), "corpus/de", "de", "ein kurzer satz", 2.0)]
    texts, wrong = [*TEXTS, "ein kurzer satz"], [*TEXTS, "kein kurzer satz"]
    limits = QualityLimits(quantized_wer_increase=2.0)

    quality = report(Comparison(clips, _heard(texts), _heard(texts), CLOSE, _heard(wrong), CLOSE))

    check_limits(quality, limits)
    assert quality["wer"]["quantized"]["de"] == pytest.approx(33.33)


def _many():
    return [
        Clip(Path(f"{language}-{corpus}-{n}.flac"), f"{corpus}/{n}", language, "text", 3.0)
        for language in ("en", "de")
        for corpus, count in (("big", 50), ("small", 2), ("other", 5))
        for n in range(count)
    ]


def test_picked_clips_spread_over_languages_and_corpora():
    picked = pick_clips(_many(), 6)

    assert [clip.language for clip in picked] == ["de"] * 6 + ["en"] * 6
    for language in ("en", "de"):
        corpora = [clip.corpus for clip in picked if clip.language == language]
        assert {name: corpora.count(name) for name in corpora} == {"big": 2, "small": 2, "other": 2}


def test_the_pick_does_not_depend_on_the_order_of_the_manifest():
    assert pick_clips(_many(), 6) == pick_clips(reversed(_many()), 6)


def test_only_clips_that_can_be_held_against_the_model_are_read(tmp_path):
    good = {"path": "a.flac", "language": "en", "text": "yes", "duration_s": 5, "id": "corpus/a"}
    others = (
        {"duration_s": 0.5},
        {"duration_s": 40.0},
        {"language": "xx"},
        {"text": " "},
    )
    lines = [json.dumps(good), *(json.dumps(good | other) for other in others)]
    (tmp_path / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")

    assert read_clips(tmp_path, ["en"]) == [Clip(tmp_path / "a.flac", "corpus/a", "en", "yes", 5.0)]


@pytest.mark.parametrize("content", [None, "no json", '{"path": 1}'])
def test_a_folder_without_a_manifest_that_can_be_read_is_one_sentence(tmp_path, content):
    if content is not None:
        (tmp_path / "manifest.jsonl").write_text(content, encoding="utf-8")

    with pytest.raises(SampleError, match=r"manifest\.jsonl"):
        read_clips(tmp_path, ["en"])
