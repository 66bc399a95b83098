"""How fast a bundle is, and with how many threads."""

import pytest

from edge_asr.bundle import open_bundle
from edge_asr.recognizers.pace import Pace, best_threads, threads_to_try
from edge_asr.recognizers.timing import measure_pace


def pace(rtf):
    return Pace(encode_s=10 * rtf, prefill_s=0.0, step_s=0.0)


@pytest.mark.parametrize(
    ("most", "tried"), [(1, [1]), (2, [2, 1]), (3, [3, 2, 1]), (7, [7, 4, 1]), (8, [8, 4, 1])]
)
def test_all_threads_half_of_them_and_one_are_tried(most, tried):
    assert threads_to_try(most) == tried


def test_the_fastest_wins_and_of_those_that_are_about_as_fast_the_fewest():
    assert best_threads({3: pace(0.5), 2: pace(0.7), 1: pace(1.3)}) == 3
    assert best_threads({3: pace(0.5), 2: pace(0.52), 1: pace(1.3)}) == 2
    assert best_threads({2: pace(0.5), 1: pace(0.45)}) == 1


def test_a_real_time_factor_counts_encoder_prompt_and_text():
    assert Pace(2.0, 1.0, 0.1).rtf == pytest.approx((2 + 1 + 3.5) / 10)
    assert Pace(2.0, 1.0, 0.1).rtf_with_drafts is None


@pytest.mark.bundle
def test_whisper_is_timed_stage_by_stage(bundles):
    found = measure_pace(open_bundle(bundles / "whisper-tiny.en"), n_threads=1)
    assert found.encode_s > found.step_s > 0
    assert found.prefill_s > 0
    assert found.rtf > 0


@pytest.mark.bundle
def test_a_voice_detector_has_no_pace(bundles):
    assert measure_pace(open_bundle(bundles / "silero-vad"), n_threads=1) is None
