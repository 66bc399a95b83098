"""Noise is followed; what is louder stirs."""

import numpy as np

from edge_asr.capture.calm import Calm

FRAME = 512


def noise(seconds, dbfs, seed=1):
    n = int(seconds * 16_000) // FRAME * FRAME
    loud = 10 ** (dbfs / 20) * np.random.default_rng(seed).standard_normal(n)
    return loud.astype(np.float32)


def holds(calm, sound, n_frames=4):
    step = n_frames * FRAME
    return [calm.holds(sound[at : at + step]) for at in range(0, len(sound), step)]


def test_what_is_heard_first_is_never_taken_for_noise():
    assert not Calm().holds(noise(0.1, -60))


def test_steady_noise_is_calm_however_loud():
    for dbfs in (-80, -50, -20):
        calm = Calm()
        assert all(holds(calm, noise(20, dbfs))[1:])


def test_digital_silence_is_calm():
    assert all(holds(calm := Calm(), np.zeros(20 * FRAME, np.float32))[1:])
    assert calm.holds(np.full(FRAME, 1 / 32768, np.float32))  # one step of 16-bit sound


def test_one_louder_frame_among_many_stirs():
    calm = Calm()
    holds(calm, noise(5, -50))
    sound = noise(1, -50, seed=2)
    sound[10 * FRAME : 11 * FRAME] *= 2
    assert not calm.holds(sound)


def test_louder_noise_becomes_noise_within_a_second_for_each_decibel():
    calm = Calm()
    holds(calm, noise(5, -50))
    louder = holds(calm, noise(20, -40, seed=3))
    assert not any(louder[: int(6 / 0.128)])
    assert all(louder[int(12 / 0.128) :])


def test_noise_that_ends_leaves_ears_for_what_is_softer():
    calm = Calm()
    holds(calm, noise(5, -20))
    calm.holds(noise(0.1, -60))
    assert not calm.holds(noise(0.1, -50))
