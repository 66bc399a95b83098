"""Whatever a sound file holds, it is sound within bounds, or one sentence; never more memory."""

import io
import tracemalloc

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.audio import open_sound_file, read_flac, write_flac
from edge_asr.errors import AudioFileError
from tests.hostile.mutation import HOSTILE, is_one_sentence, mutations_of

MAX_PEAK_BYTES = 64 << 20
MAX_FRAMES = 1 << 22


def encoded(**form):
    pcm = np.random.default_rng(3).integers(-3000, 3000, (4_000, 2)).astype("<i2")
    file = io.BytesIO()
    soundfile.write(file, pcm, 16_000, **form)
    return file.getvalue()


WHOLE = {
    "wav": encoded(format="WAV", subtype="PCM_16"),
    "float": encoded(format="WAV", subtype="DOUBLE"),
    "wavex": encoded(format="WAVEX", subtype="PCM_24"),
    "adpcm": encoded(format="WAV", subtype="IMA_ADPCM"),
    "flac": encoded(format="FLAC", subtype="PCM_16"),
}


def read_through(path):
    """Read all of a file, and check what comes."""
    n_frames = 0
    with open_sound_file(path, block_s=0.1) as file:
        assert file.n_channels <= 64
        for frames in file.blocks:
            assert np.isfinite(frames).all()
            assert np.abs(frames).max(initial=0.0) <= 1.0
            n_frames += len(frames)
            if n_frames > MAX_FRAMES:  # compressed silence: long, and no danger block by block
                return


@pytest.mark.parametrize("kind", WHOLE)
@HOSTILE
@given(data=st.data())
def test_a_changed_sound_file_is_sound_or_one_sentence(tmp_path, kind, data):
    path = tmp_path / f"hostile.{kind}"
    path.write_bytes(data.draw(mutations_of(WHOLE[kind])))
    tracemalloc.start()
    try:
        read_through(path)
    except AudioFileError as error:
        is_one_sentence(error, path)
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < MAX_PEAK_BYTES


@HOSTILE
@given(content=st.binary(max_size=2_000) | st.binary(max_size=200).map(lambda b: b"fLaC" + b))
def test_any_bytes_are_no_stored_sound(tmp_path, content):
    path = tmp_path / "stored.flac"
    path.write_bytes(content)
    try:
        assert np.isfinite(read_flac(path)).all()
    except AudioFileError as error:
        is_one_sentence(error)


def test_hours_of_silence_in_a_small_file_are_no_stored_sound(tmp_path):
    path = tmp_path / "bomb.flac"
    with soundfile.SoundFile(path, "w", 16_000, 1, format="FLAC", subtype="PCM_16") as file:
        for _ in range(40):
            file.write(np.zeros(60 * 16_000, "<i2"))
    assert path.stat().st_size < 1 << 20
    with pytest.raises(AudioFileError, match="longer than any utterance"):
        read_flac(path)


def test_sound_of_another_form_is_no_stored_sound(tmp_path):
    path = tmp_path / "other.flac"
    soundfile.write(path, np.zeros((480, 2), "<i2"), 48_000, format="FLAC")
    with pytest.raises(AudioFileError, match="48000 Hz, 2 channels"):
        read_flac(path)
    write_flac(path, np.zeros(160, np.float32))
    assert len(read_flac(path)) == 160
