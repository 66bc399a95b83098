"""Which clips are read, from a manifest and from LibriSpeech's folders."""

import json

import numpy as np
import pytest

from edge_asr.audio import write_flac
from edge_asr.errors import EvaluationError
from edge_asr.evaluation.clips import read_clips

LINE = {"path": "a.flac", "language": "en", "text": "yes", "duration_s": 5}


def write_manifest(folder, *lines):
    path = folder / "manifest.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines), encoding="utf-8")
    return path


def test_a_manifest_and_the_folder_with_it_are_the_same(tmp_path):
    full = {**LINE, "id": "c/a", "tags": ["noisy"], "keywords": ["yes"], "strict": True, "more": 1}
    manifest = write_manifest(tmp_path, full, {**LINE, "path": "b.flac", "text": " "})

    spoken, silent = read_clips(manifest)

    assert (spoken.path, spoken.corpus, spoken.tags) == (tmp_path / "a.flac", "c", ("noisy",))
    assert spoken.keywords == ("yes",)
    assert spoken.is_strict
    assert spoken.is_speech
    assert not silent.is_speech
    assert silent.corpus == ""
    assert read_clips(tmp_path) == [spoken, silent]


def test_a_length_that_is_not_told_is_measured(tmp_path):
    write_flac(tmp_path / "a.flac", np.zeros(24_000, np.float32))
    write_manifest(tmp_path, {key: value for key, value in LINE.items() if key != "duration_s"})

    assert read_clips(tmp_path)[0].duration_s == 1.5


def test_librispeech_is_read_as_it_is_unpacked(tmp_path):
    chapter = tmp_path / "LibriSpeech" / "dev-clean" / "84" / "121123"
    chapter.mkdir(parents=True)
    (chapter / "84-121123.trans.txt").write_text("84-121123-0000 GO DO YOU HEAR\n84-1 \n")
    write_flac(chapter / "84-121123-0000.flac", np.zeros(32_000, np.float32))

    (clip,) = read_clips(tmp_path)

    assert (clip.clip_id, clip.language) == ("librispeech/84-121123-0000", "en")
    assert (clip.text, clip.duration_s, clip.tags) == ("GO DO YOU HEAR", 2.0, ("dev-clean",))


@pytest.mark.parametrize("content", ["no json", '{"path": 1}', '{"path": "a"}'])
def test_a_line_that_cannot_be_read_is_named(tmp_path, content):
    path = write_manifest(tmp_path, LINE)
    path.write_text(path.read_text(encoding="utf-8") + "\n" + content, encoding="utf-8")

    with pytest.raises(EvaluationError, match=r"manifest\.jsonl, line 2"):
        read_clips(path)


def test_a_folder_with_nothing_to_hear_says_what_was_looked_for(tmp_path):
    with pytest.raises(EvaluationError, match="LibriSpeech"):
        read_clips(tmp_path)
