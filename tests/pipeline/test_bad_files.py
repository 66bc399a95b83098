"""Files that are not what they say: right text or one clear sentence, and the others go on."""

import json

import numpy as np
import pytest
import soundfile
import soxr

pytestmark = [pytest.mark.bundle, pytest.mark.usefixtures("bundles")]


@pytest.fixture(scope="module")
def spoken(sample):
    """Return two seconds and more of speech: samples and rate."""
    clip = json.loads((sample / "manifest.jsonl").read_text(encoding="utf-8").splitlines()[0])
    return soundfile.read(sample / clip["path"], dtype="float32")


def transcribe(program, *files):
    result = program.run("--bundle", "whisper-tiny.en", "transcribe", "--format", "jsonl", *files)
    texts = [json.loads(line)["text"] for line in result.stdout.splitlines()]
    return result, texts


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.wav", b""),
        ("text.wav", b"This is a text file, whatever its name says.\n" * 40),
        ("header-only.wav", b"RIFF\x24\x00\x00\x00WAVEfmt "),
    ],
)
def test_what_is_no_sound_is_one_sentence_and_status_1(program, tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    result, texts = transcribe(program, path)
    assert result.returncode == 1
    assert texts == []
    assert str(path) in result.stderr
    assert "Traceback" not in result.stderr


def test_a_directory_and_a_missing_file_do_not_stop_the_others(program, tmp_path, spoken):
    samples, rate = spoken
    good = tmp_path / "good.wav"
    soundfile.write(good, samples, rate)
    result, texts = transcribe(program, tmp_path, good, tmp_path / "missing.wav")
    assert result.returncode == 1
    assert len(texts) == 1
    assert texts[0]
    assert "is a directory" in result.stderr
    assert "no such file" in result.stderr
    assert "Traceback" not in result.stderr


def test_any_rate_channels_and_format_give_the_same_words(program, tmp_path, spoken):
    samples, rate = spoken
    paths = [tmp_path / name for name in ("as-is.flac", "8k.wav", "96k.wav", "some.mp3")]
    soundfile.write(paths[0], samples, rate)
    stereo = np.repeat(soxr.resample(samples, rate, 8_000)[:, np.newaxis], 2, axis=1)
    soundfile.write(paths[1], stereo, 8_000, subtype="PCM_16")
    soundfile.write(paths[2], soxr.resample(samples, rate, 96_000), 96_000, subtype="PCM_24")
    soundfile.write(paths[3], samples, rate, format="MP3")
    result, texts = transcribe(program, *paths)
    assert result.returncode == 0, result.stderr
    words = [text.lower().split() for text in texts]
    assert len(words) == 4
    shared = set(words[0]).intersection(*words[1:])
    assert len(shared) >= 0.7 * len(set(words[0]))


def test_a_truncated_file_gives_the_words_it_still_holds(program, tmp_path, spoken):
    samples, rate = spoken
    whole = tmp_path / "whole.wav"
    soundfile.write(whole, samples, rate)
    cut = tmp_path / "cut.wav"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 3 // 4 + 1])
    result, texts = transcribe(program, cut, whole)
    assert result.returncode == 0, result.stderr
    assert texts[0].split()[:3] == texts[1].split()[:3]
    assert len(texts[0]) < len(texts[1])


def test_sound_that_is_not_a_number_does_no_harm(program, tmp_path, spoken):
    samples, rate = spoken
    broken = samples.copy()
    broken[: rate // 10] = np.nan
    broken[rate // 10 : rate // 5] = np.inf
    path = tmp_path / "nan.wav"
    soundfile.write(path, broken, rate, subtype="FLOAT")
    result, texts = transcribe(program, path)
    assert result.returncode == 0, result.stderr
    assert texts[0]
