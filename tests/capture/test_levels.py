"""How loud sound is."""

import numpy as np
import pytest

from edge_asr.capture.levels import SILENCE_DBFS, level_of


def test_a_full_scale_square_wave_is_at_zero():
    level = level_of(np.tile(np.array([1, -1], np.float32), 800))
    assert level.rms_dbfs == pytest.approx(0.0, abs=1e-6)
    assert level.peak_dbfs == pytest.approx(0.0, abs=1e-6)


def test_a_sine_has_its_power_three_decibels_below_its_peak():
    sine = 0.1 * np.sin(2 * np.pi * np.arange(1600) / 16).astype(np.float32)
    level = level_of(sine)
    assert level.peak_dbfs == pytest.approx(-20.0, abs=0.01)
    assert level.rms_dbfs == pytest.approx(-23.01, abs=0.01)


@pytest.mark.parametrize("n_samples", [0, 1600])
def test_silence_has_a_number_too(n_samples):
    level = level_of(np.zeros(n_samples, np.float32))
    assert level.rms_dbfs == level.peak_dbfs == pytest.approx(SILENCE_DBFS)
