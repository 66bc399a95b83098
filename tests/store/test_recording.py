"""The open utterance on disk."""

import os
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr import audio, clock
from edge_asr.errors import DiskRefusesError, StoreError
from edge_asr.records import ClockQuality, Instant
from edge_asr.store import Store
from edge_asr.store import recording as recording_module
from edge_asr.store.files import lock_file
from edge_asr.store.headers import UID, new_uid
from edge_asr.store.recording import Recording, read_recording
from tests.store.speech import noise


@pytest.fixture
def recording(tmp_path):
    begun = Recording.begin(tmp_path / "open", "mic", clock.now())
    yield begun
    begun.release()


def test_it_can_be_read_while_it_grows(recording):
    whole = noise(4_800)
    for end in range(160, 4_801, 160):
        recording.append(whole[end - 160 : end])
        header, waveform = read_recording(recording.path)
        assert header == recording.header
        np.testing.assert_array_equal(waveform, whole[:end])


def test_it_is_there_before_the_first_sample(recording):
    header, waveform = read_recording(recording.path)
    assert header.source == "mic"
    assert len(waveform) == 0


def test_half_a_sample_at_its_end_is_left_out(recording):
    recording.append(noise(100))
    with recording.path.open("ab") as file:
        file.write(b"\x01")
    assert len(read_recording(recording.path)[1]) == 100


def test_it_is_cut_where_the_utterance_ends(recording):
    recording.append(noise(1_000))
    np.testing.assert_array_equal(recording.truncate(700), noise(1_000)[:700])
    assert len(read_recording(recording.path)[1]) == 700


def test_it_is_synchronised_about_every_second(recording, monkeypatch):
    now_s = time.monotonic()
    synced_at_s = []
    real_fdatasync = os.fdatasync
    monkeypatch.setattr(recording_module.time, "monotonic", lambda: now_s)

    def fdatasync(descriptor):
        synced_at_s.append(now_s)
        real_fdatasync(descriptor)

    monkeypatch.setattr(recording_module.os, "fdatasync", fdatasync)
    began_s = now_s
    for _ in range(100):
        now_s += 0.1
        recording.append(noise(1_600))
    gaps_s = np.diff([began_s, *synced_at_s])
    assert 10 <= len(gaps_s) <= 18
    assert gaps_s[0] <= 0.2  # the first sound is older than the word that it is speech
    assert max(gaps_s) <= 0.9


@pytest.mark.parametrize("takes_s", [0.05, 0.15, 0.25])
def test_a_slow_disk_is_asked_earlier(recording, monkeypatch, takes_s):
    """What counts is when a synchronisation ends, and what it began with."""
    now_s = time.monotonic()
    began_s = [now_s]
    monkeypatch.setattr(recording_module.time, "monotonic", lambda: now_s)

    def fdatasync(_):
        nonlocal now_s
        began_s.append(now_s)
        now_s += takes_s

    monkeypatch.setattr(recording_module.os, "fdatasync", fdatasync)
    for _ in range(100):
        now_s += 0.1
        recording.append(noise(1_600))
    exposed_s = np.diff(began_s)[1:] + takes_s  # until the next one has ended
    assert max(exposed_s) <= 0.95
    assert min(np.diff(began_s)[1:]) >= 2 * takes_s  # half of the time is left to others


def test_a_write_that_failed_is_repeated_in_place(recording, monkeypatch):
    recording.append(noise(100, seed=1))
    real_pwrite = os.pwrite

    def full(descriptor, content, offset):
        real_pwrite(descriptor, bytes(content[:33]), offset)  # an odd number: half a sample
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(recording_module.os, "pwrite", full)
        with pytest.raises(StoreError, match="No space left on device"):
            recording.append(noise(100, seed=2))
    recording.flush()
    expected = np.concatenate([noise(100, seed=1), noise(100, seed=2)])
    np.testing.assert_array_equal(read_recording(recording.path)[1], expected)


def test_after_a_failed_synchronisation_the_whole_file_is_written_anew(recording, monkeypatch):
    """The kernel may have dropped what was not synchronised, and says so only once."""
    recording.append(noise(100, seed=1))
    before = recording.path.stat().st_ino

    def fail(_descriptor):
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(recording_module.os, "fsync", fail)
        with pytest.raises(DiskRefusesError, match="Input/output error"):
            recording.truncate(90)
        with pytest.raises(DiskRefusesError, match="Input/output error"):
            recording.truncate(90)
    recording.path.write_bytes(b"what the disk made of it")
    np.testing.assert_array_equal(recording.truncate(90), noise(100, seed=1)[:90])
    assert recording.path.stat().st_ino != before
    np.testing.assert_array_equal(read_recording(recording.path)[1], noise(100, seed=1)[:90])
    assert lock_file(recording.path, create=False) is None
    assert [path.name for path in recording.path.parent.iterdir()] == [recording.path.name]


def test_a_disk_that_writes_in_small_pieces_gets_all_of_it(recording, monkeypatch):
    real_pwrite = os.pwrite
    monkeypatch.setattr(
        recording_module.os,
        "pwrite",
        lambda descriptor, content, offset: real_pwrite(descriptor, bytes(content[:7]), offset),
    )
    recording.append(noise(500))
    np.testing.assert_array_equal(read_recording(recording.path)[1], noise(500))


def test_a_beginning_that_fails_leaves_no_file(tmp_path, monkeypatch):
    def broken(*_):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(recording_module.os, "pwrite", broken)
    with pytest.raises(StoreError, match="Input/output error"):
        Recording.begin(tmp_path / "open", "mic", clock.now())
    assert list((tmp_path / "open").iterdir()) == []


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"{",
        b"[]\n",
        b'{"uid": "x"}\n',
        b"\xff\xfe\n",
        b"[" * 16_000 + b"\n",
        b'{"uid": "20261124T093015123-1f3a9c", "source": "mic"',
    ],
)
def test_a_torn_first_line_is_one_sentence(tmp_path, line):
    path = tmp_path / "20261124T093015123-1f3a9c.part"
    path.write_bytes(line)
    with pytest.raises(StoreError, match="the first line"):
        read_recording(path)


def test_the_name_in_the_first_line_cannot_lead_elsewhere(recording):
    other = recording.path.with_name("20260101T000000000-000000.part")
    other.write_bytes(recording.path.read_bytes())
    with pytest.raises(StoreError, match="the first line is of"):
        read_recording(other)


@given(st.integers(-(10**9), 7_000_000_000 * 10**9))
def test_names_sort_by_time_and_tell_it(utc_ns):
    uid = new_uid(utc_ns)
    assert UID.fullmatch(uid)
    assert new_uid(utc_ns + 1_000_000)[:18] > uid[:18]


def test_a_known_instant_has_a_known_name():
    uid = new_uid(1_795_512_615_123_999_999)
    assert uid.startswith("20261124T093015123-")


@given(st.binary(max_size=2_000))
def test_pcm_survives_the_way_into_float_and_back(pcm):
    whole = pcm[: len(pcm) // 2 * 2]
    assert audio.pcm16_from_waveform(audio.waveform_from_pcm16(pcm)) == whole


@given(
    source=st.text(max_size=40),
    utc_ns=st.integers(0, 2**62),
    monotonic_ns=st.integers(0, 2**62),
    quality=st.sampled_from(ClockQuality),
    pcm=st.binary(max_size=400).map(lambda raw: raw[: len(raw) // 2 * 2]),
)
def test_what_is_written_is_read(tmp_path_factory, source, utc_ns, monotonic_ns, quality, pcm):
    start = Instant(utc_ns, monotonic_ns, "boot", quality)
    begun = Recording.begin(tmp_path_factory.mktemp("open"), source, start)
    begun.append(audio.waveform_from_pcm16(pcm))
    header, waveform = read_recording(begun.path)
    begun.release()
    assert (header.source, header.start) == (source, start)
    assert audio.pcm16_from_waveform(waveform) == pcm


def test_of_a_file_and_its_renewal_the_longer_one_stays(tmp_path):
    """The process died while it wrote the file anew."""
    with Store.open(tmp_path) as store:
        for written, renewed in ((100, 300), (300, 100)):
            recording = store.utterances.begin("mic", clock.now())
            recording.append(noise(renewed))
            fresh = recording.path.with_suffix(".anew")
            fresh.write_bytes(recording.path.read_bytes())
            recording.truncate(0)
            recording.append(noise(written))
            recording.release()
            (utterance,) = store.utterances.recover().recovered
            assert utterance.n_samples == 300
            assert list((tmp_path / "open").iterdir()) == []
