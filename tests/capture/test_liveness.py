"""What a broken microphone sounds like, and how it is told from a quiet room."""

import numpy as np
import pytest

from edge_asr.alarms import AlarmCode
from edge_asr.capture.liveness import Liveness
from edge_asr.records import (
    SAMPLE_RATE,
    AudioChunk,
    ClockQuality,
    Instant,
    SourceState,
    SourceStatus,
)
from edge_asr.settings import LivenessSettings

CHUNK = 1600
S = 1_000_000_000
RNG = np.random.default_rng(5)


class Ear:
    """Feeds sound to the state machine, at the pace of a microphone or another."""

    def __init__(self, **settings):
        self.liveness = Liveness(LivenessSettings(**settings))
        self.changes = []
        self.now_ns = 1000 * S

    def hear(self, waveform, pace=1.0, *, speaking=False, n_invalid=0):
        for start in range(0, len(waveform), CHUNK):
            chunk = np.asarray(waveform[start : start + CHUNK], np.float32)
            at = Instant(0, self.now_ns, "boot", ClockQuality.RTC)
            self.now_ns += int(len(chunk) * S / SAMPLE_RATE / pace)
            self.changes += self.liveness.hear(
                AudioChunk(chunk, at, n_invalid), self.now_ns, speaking=speaking
            )

    def lack(self, seconds, state=SourceState.NO_DEVICE):
        for _ in range(seconds):
            self.changes += self.liveness.take(SourceStatus(state, "unplugged"), self.now_ns)
            self.now_ns += S

    def told(self):
        """Return what was raised and cleared, without the first word that all is well."""
        raised, told = set(), []
        for change in self.changes:
            if change.active:
                raised.add(change.code)
            if change.code in raised:
                told.append((change.code, change.active))
        return told


def room(seconds, amplitude=0.003):
    return amplitude * RNG.standard_normal(int(seconds * SAMPLE_RATE))


def zeros(seconds):
    return np.zeros(int(seconds * SAMPLE_RATE))


def test_a_room_is_well_and_old_alarms_are_over():
    ear = Ear()
    ear.hear(room(70))
    assert ear.told() == []
    assert {change.code for change in ear.changes} == set(AlarmCode) & {
        code for code in AlarmCode if code.value.startswith("MIC-")
    }


def test_digital_zeros_are_an_alarm_after_their_time_and_over_with_the_first_sound():
    ear = Ear(silent_after_s=20)
    ear.hear(zeros(19))
    assert ear.told() == []
    ear.hear(zeros(2))
    assert ear.told() == [(AlarmCode.MIC_SILENT, True)]
    ear.hear(room(3))
    assert ear.told() == [(AlarmCode.MIC_SILENT, True), (AlarmCode.MIC_SILENT, False)]


def test_a_sample_between_zeros_is_no_silence():
    ear = Ear(silent_after_s=20)
    for _ in range(30):
        sound = zeros(1)
        sound[8000] = 1 / 32768
        ear.hear(sound)
    assert (AlarmCode.MIC_SILENT, True) not in ear.told()


def test_the_same_sample_again_and_again_is_stuck():
    ear = Ear()
    ear.hear(room(5))
    ear.hear(np.full(15 * SAMPLE_RATE, 0.02))
    assert ear.told() == [(AlarmCode.MIC_STUCK, True)]
    ear.hear(room(10))
    assert ear.told()[-1] == (AlarmCode.MIC_STUCK, False)


@pytest.mark.parametrize("period", [256, 1365, 4096, 16000])
def test_a_buffer_that_comes_again_and_again_is_stuck(period):
    ear = Ear()
    ear.hear(np.resize(room(period / SAMPLE_RATE), 20 * SAMPLE_RATE))
    assert ear.told() == [(AlarmCode.MIC_STUCK, True)]


def test_hum_with_a_room_around_it_is_not_stuck():
    ear = Ear()
    t = np.arange(30 * SAMPLE_RATE) / SAMPLE_RATE
    ear.hear(0.05 * np.sin(2 * np.pi * 50 * t) + room(30, 0.0005))
    assert ear.told() == []


def test_much_sound_at_full_scale_is_clipping_and_a_bang_is_not():
    ear = Ear()
    ear.hear(np.concatenate([room(20), np.ones(400), room(20)]))
    assert ear.told() == []
    ear.hear(np.clip(room(15, 0.6), -1, 1))
    assert ear.told() == [(AlarmCode.MIC_CLIPPING, True)]
    ear.hear(room(30))
    assert ear.told()[-1] == (AlarmCode.MIC_CLIPPING, False)


def test_hours_of_nothing_but_noise_of_its_own_are_deaf_if_that_is_asked_for():
    ear = Ear(deaf_after_h=0.02)
    ear.hear(room(80))
    assert ear.told() == [(AlarmCode.MIC_DEAF, True)]
    for _ in range(15):
        ear.hear(room(0.1, 0.05))
        ear.hear(room(0.1))
    assert ear.told()[-1] == (AlarmCode.MIC_DEAF, False)


def test_speech_shows_that_it_is_not_deaf():
    ear = Ear(deaf_after_h=0.02)
    for _ in range(4):
        ear.hear(room(40))
        ear.hear(room(1), speaking=True)
    assert ear.told() == []


def test_an_absence_is_an_alarm_and_a_flicker_is_not():
    ear = Ear()
    ear.hear(room(10))
    ear.lack(2)
    ear.hear(room(10))
    assert ear.told() == []
    ear.lack(10)
    assert ear.told() == [(AlarmCode.MIC_GONE, True)]
    for _ in range(5):  # it flaps
        ear.hear(room(1))
        ear.lack(1)
    assert ear.told() == [(AlarmCode.MIC_GONE, True)]
    ear.hear(room(5))
    assert ear.told() == [(AlarmCode.MIC_GONE, True), (AlarmCode.MIC_GONE, False)]
    assert ear.changes[-1].detail == "it is well again"


def test_a_muted_microphone_is_not_gone():
    ear = Ear()
    ear.hear(room(10))
    ear.lack(20, SourceState.MUTED)
    assert ear.told() == []


@pytest.mark.parametrize("pace", [0.5, 0.97, 1.03, 2.0])
def test_another_rate_than_promised_is_an_alarm(pace):
    ear = Ear()
    ear.hear(room(90 * max(pace, 1)), pace)
    assert ear.told() == [(AlarmCode.MIC_RATE, True)]
    ear.hear(room(60))
    assert ear.told()[-1] == (AlarmCode.MIC_RATE, False)


def test_a_clock_that_is_a_little_off_is_none():
    ear = Ear()
    ear.hear(room(90), 1.01)
    assert ear.told() == []


def test_a_single_stall_is_no_wrong_rate():
    ear = Ear()
    ear.hear(room(35))
    ear.now_ns += 6 * S
    ear.hear(room(60))
    assert ear.told() == []


def test_samples_that_were_no_numbers_are_an_alarm_with_their_count():
    ear = Ear()
    ear.hear(room(1), n_invalid=7)
    assert ear.told() == [(AlarmCode.MIC_INVALID, True)]
    assert any(change.detail.startswith("7 samples") for change in ear.changes)
