"""A microphone through PyAudio, and all that happens to microphones."""

import itertools
import os
import resource
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_asr.capture import microphone
from edge_asr.capture.devices import list_microphones
from edge_asr.capture.microphone import Microphone
from edge_asr.config import MicrophoneSettings
from edge_asr.errors import MicrophoneError
from edge_asr.records import SAMPLE_RATE, GapKind
from tests.capture.conftest import is_absent, is_gap, is_hearing, is_sound
from tests.virtual_microphone import WAKES_AFTER_S

pytestmark = pytest.mark.microphone

ROOT = Path(__file__).resolve().parent.parent.parent


def murmur(duration_s, seed=11):
    """Return noise below 4 kHz: nothing of it is lost on the way, and it repeats nowhere."""
    rng = np.random.default_rng(seed)
    white = rng.standard_normal(int(duration_s * SAMPLE_RATE))
    spectrum = np.fft.rfft(white)
    spectrum[len(spectrum) // 2 :] = 0
    sound = np.fft.irfft(spectrum, len(white))
    return (0.3 * sound / np.abs(sound).max()).astype(np.float32)


def likeness(heard, played):
    """Return the largest normalised correlation of ``played`` with any stretch of ``heard``."""
    size = 1 << (len(heard) + len(played)).bit_length()
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(played, size))
    correlation = np.fft.irfft(product, size)[: len(heard) - len(played) + 1]
    power = np.concatenate([[0.0], np.cumsum(np.square(heard, dtype=np.float64))])
    norms = np.sqrt(power[len(played) :] - power[: -len(played)]) * np.linalg.norm(played)
    return float(np.max(correlation / np.maximum(norms, 1e-9)))


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def sound_system_lists(monkeypatch, variables):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return list_microphones()


def test_what_is_played_is_what_is_heard(virtual_microphone, listen, tmp_path):
    played = murmur(2.0)
    soundfile.write(tmp_path / "murmur.wav", played, SAMPLE_RATE)
    listening = listen(virtual_microphone.variables, device="name:vmic")
    listening.wait_for(is_sound)
    assert virtual_microphone.play(tmp_path / "murmur.wav").wait(20) == 0
    time.sleep(1.0)
    listening.stop()
    heard = listening.waveform()
    assert heard.dtype == np.float32
    # PulseAudio may lose the first 22 ms.
    assert likeness(heard, played[SAMPLE_RATE // 20 :]) > 0.98
    assert listening.gaps() == []


def test_chunks_follow_one_another_on_the_clock(virtual_microphone, listen):
    listening = listen(virtual_microphone.variables, device="name:vmic", sample_rate=48_000)
    at, _ = listening.wait_for(is_sound)
    time.sleep(3.0)
    listening.stop()
    chunks = listening.chunks()[10:]
    for before, after in itertools.pairwise(chunks):
        end_ns = before.start.monotonic_ns + int(before.duration_s * 1e9)
        assert abs(after.start.monotonic_ns - end_ns) < 60_000_000
    assert at < time.monotonic() - 2.5
    assert "48000 Hz" in next(item for item in listening.told() if is_hearing(item)).detail


def test_a_sound_server_that_takes_two_seconds_to_open_is_no_absence(virtual_microphone, listen):
    listening = listen(virtual_microphone.variables)
    listening.wait_for(is_sound)
    listening.stop()
    assert [is_hearing(item) for item in listening.told()] == [True]


def test_microphones_are_listed_by_what_to_write_in_the_configuration(
    virtual_microphone, monkeypatch
):
    devices = sound_system_lists(monkeypatch, virtual_microphone.variables)
    assert "name:vmic" in [device.identities()[0] for device in devices]
    assert [device.name for device in devices if device.is_default] == ["default"]


def test_an_unplugged_microphone_is_noticed_and_heard_again_when_it_is_back(
    virtual_microphone, listen
):
    listening = listen(virtual_microphone.variables)
    listening.wait_for(is_sound)
    time.sleep(1.0)
    unplugged = time.monotonic()
    virtual_microphone.unplug()
    noticed, _ = listening.wait_for(is_absent, since=unplugged)
    assert noticed - unplugged < 1.8
    again, _ = listening.wait_for(is_absent, since=noticed)
    assert again - noticed < 1.5

    time.sleep(2.0)
    plugged = time.monotonic()
    virtual_microphone.plug()
    back, _ = listening.wait_for(is_sound, since=plugged)
    assert back - plugged < 3.0 + WAKES_AFTER_S
    _, gap = listening.wait_for(is_gap, since=unplugged)
    assert gap.kind is GapKind.NO_DEVICE
    assert gap.duration_s == pytest.approx(back - unplugged, abs=0.5)
    assert gap.start.monotonic_ns / 1e9 == pytest.approx(unplugged, abs=0.4)


def test_a_frozen_sound_server_is_noticed_and_survived(virtual_microphone, listen):
    listening = listen(virtual_microphone.variables)
    listening.wait_for(is_sound)
    frozen = time.monotonic()
    virtual_microphone.freeze()
    noticed, _ = listening.wait_for(is_absent, since=frozen)
    assert noticed - frozen < 1.8
    time.sleep(2.0)
    thawed = time.monotonic()
    virtual_microphone.thaw()
    back, _ = listening.wait_for(is_hearing, since=thawed)
    assert back - thawed < 3.0 + WAKES_AFTER_S
    [gap] = listening.gaps()
    assert gap.duration_s == pytest.approx(back - frozen, abs=0.6)


def test_a_killed_sound_server_is_survived(virtual_microphone, listen):
    listening = listen(virtual_microphone.variables)
    listening.wait_for(is_sound)
    killed = time.monotonic()
    virtual_microphone.kill()
    noticed, _ = listening.wait_for(is_absent, since=killed)
    assert noticed - killed < 1.8
    virtual_microphone.start()
    started = time.monotonic()
    back, _ = listening.wait_for(is_hearing, since=started)
    assert back - started < 3.0 + WAKES_AFTER_S


def test_a_killed_reader_is_replaced(virtual_microphone, listen):
    listening = listen(virtual_microphone.variables)
    listening.wait_for(is_sound)
    pid = listening.microphone.child_pid
    killed = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    _, lost = listening.wait_for(is_absent, since=killed)
    assert lost.detail == "the process that reads it died"
    back, _ = listening.wait_for(is_hearing, since=killed)
    assert back - killed < 1.0 + WAKES_AFTER_S
    assert listening.microphone.child_pid != pid
    [gap] = listening.gaps()
    assert gap.duration_s == pytest.approx(back - killed, abs=0.4)


def test_sound_that_was_lost_without_a_word_is_a_gap_where_it_was_lost(
    virtual_microphone, monkeypatch
):
    """The server drops what nobody reads, and no call fails: only the clock tells."""
    for name, value in virtual_microphone.variables.items():
        monkeypatch.setenv(name, value)
    # Eight channels at this rate fill the pipe and the server's buffer in two seconds.
    settings = MicrophoneSettings(sample_rate=192_000, channel=7)
    with Microphone(settings, threading.Event()) as microphone:
        items = iter(microphone)
        before = [next(items) for _ in range(20)]
        time.sleep(5.0)
        after = list(itertools.islice(items, 80))
    heard = [item for item in (*before, *after) if is_sound(item)]
    [gap] = [item for item in after if not is_sound(item)]
    assert gap.kind is GapKind.OVERFLOW
    assert 0.5 < gap.duration_s < 5.0
    first, last = heard[0].start.monotonic_ns, heard[-1].start.monotonic_ns
    heard_s = sum(chunk.duration_s for chunk in heard[:-1])
    assert (last - first) / 1e9 == pytest.approx(heard_s + gap.duration_s, abs=0.1)


def test_a_listener_that_is_held_up_for_long_loses_nothing(virtual_microphone, monkeypatch):
    """A slow disk may hold up the listener; the pipe keeps the sound meanwhile."""
    for name, value in virtual_microphone.variables.items():
        monkeypatch.setenv(name, value)
    with Microphone(MicrophoneSettings(), threading.Event()) as microphone:
        items = iter(microphone)
        next(item for item in items if is_sound(item))
        pid = microphone.child_pid
        time.sleep(3.0)
        rest = list(itertools.islice(items, 40))
        assert microphone.child_pid == pid
    assert all(is_sound(item) for item in rest)


def test_a_sound_card_that_comes_ends_the_wait(virtual_microphone, listen, monkeypatch, tmp_path):
    """A card is looked for at once, however long the microphone was away."""
    cards = tmp_path / "cards"
    cards.write_text("--- no soundcards ---\n")
    monkeypatch.setattr(microphone, "SOUND_CARDS", cards)
    monkeypatch.setattr(microphone, "FIRST_BACK_OFF_S", 30.0)
    monkeypatch.setattr(microphone, "LONGEST_BACK_OFF_S", 30.0)
    virtual_microphone.kill()
    listening = listen(virtual_microphone.variables)
    listening.wait_for(is_absent)
    virtual_microphone.start()
    plugged = time.monotonic()
    cards.write_text(" 0 [Device         ]: USB-Audio - USB PnP Sound Device\n")
    back, _ = listening.wait_for(is_hearing, since=plugged)
    assert back - plugged < 3.0 + WAKES_AFTER_S


def test_a_machine_without_a_sound_server_is_a_state_that_costs_little(virtual_microphone, listen):
    virtual_microphone.kill()
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    listening = listen(virtual_microphone.variables)
    at, status = listening.wait_for(is_absent)
    assert at - started < 1.5
    assert status.detail.startswith("no microphone 'default'")
    time.sleep(6.0)
    listening.stop()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    elapsed_s = time.monotonic() - started
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert cpu_s / elapsed_s < 0.2
    n_told = sum(is_absent(item) for item in listening.told())
    assert elapsed_s - 2 <= n_told <= elapsed_s + 2
    [gap] = listening.gaps()
    assert gap.duration_s == pytest.approx(elapsed_s, abs=0.5)


def test_a_microphone_that_is_not_there_is_a_state_that_names_those_that_are(
    virtual_microphone, listen
):
    listening = listen(virtual_microphone.variables, device="card:Webcam")
    _, status = listening.wait_for(is_absent)
    assert status.detail.startswith("no microphone 'card:Webcam'; there: ")
    assert "name:vmic" in status.detail


def test_a_channel_that_the_device_lacks_is_a_state_with_a_reason(virtual_microphone, listen):
    listening = listen(virtual_microphone.variables, channel=63)
    _, status = listening.wait_for(is_absent)
    assert "there is no channel 63" in status.detail


def test_a_device_that_could_mean_no_microphone_is_refused_at_once():
    with pytest.raises(MicrophoneError, match="write default, card:ID"):
        Microphone(MicrophoneSettings(device="hw:1,0"), None)


def test_a_stop_ends_it_at_once_and_leaves_no_process(virtual_microphone, listen):
    listening = listen(virtual_microphone.variables)
    listening.wait_for(is_sound)
    pid = listening.microphone.child_pid
    assert listening.stop() < 1.0
    assert not is_alive(pid)


def test_the_reader_dies_with_its_parent(virtual_microphone):
    script = (
        "import threading\n"
        "from edge_asr.capture.microphone import Microphone\n"
        "from edge_asr.config import MicrophoneSettings\n"
        "for _ in (m := Microphone(MicrophoneSettings(), threading.Event())):\n"
        "    print(m.child_pid, flush=True)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=virtual_microphone.environ,
    ) as parent:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        parent.kill()
    deadline = time.monotonic() + 2
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_alive(pid)


def test_a_device_that_gives_sound_faster_than_time_is_heard_bit_for_bit(sound_directory, listen):
    """ALSA's file plugin is not paced: it gives sound as fast as it is read."""
    played = np.random.default_rng(12).integers(-9000, 9000, 2 * SAMPLE_RATE).astype("<i2")
    (sound_directory / "mic.raw").write_bytes(played.tobytes())
    (sound_directory / "asound.conf").write_text(
        "</usr/share/alsa/alsa.conf>\n"
        "pcm.!default { type file slave.pcm null file /dev/null "
        f'infile "{sound_directory}/mic.raw" format raw }}\n'
        "ctl.!default { type hw card 0 }\n"
    )
    variables = {"ALSA_CONFIG_PATH": str(sound_directory / "asound.conf")}
    # The file has one channel, and the plugin claims any number.
    listening = listen(variables, sample_rate=SAMPLE_RATE, channel=0, channels=1)
    listening.wait_for(lambda _: len(listening.said) > 25)
    listening.stop()
    heard = np.round(listening.waveform()[: len(played)] * 32768)
    np.testing.assert_array_equal(heard, played)
    assert listening.gaps() == []


def test_it_delivers_seldom_while_nobody_speaks_and_often_when_it_is_told(
    virtual_microphone, listen
):
    listening = listen(virtual_microphone.variables)
    listening.wait_for(is_sound)
    listening.microphone.attend(closely=False)
    at, _ = listening.wait_for(lambda item: is_sound(item) and item.duration_s > 0.3)
    listening.microphone.attend(closely=True)
    listening.wait_for(lambda item: is_sound(item) and item.duration_s < 0.15, since=at)
    assert not listening.gaps()
