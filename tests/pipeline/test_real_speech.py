"""Real speech from the folder that the environment names, through the program."""

import json

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

from tests.jsonl import read_jsonl

pytestmark = [pytest.mark.bundle, pytest.mark.speech, pytest.mark.usefixtures("bundles")]
N_CLIPS = 10


def test_clean_english_is_understood(program, speech):
    clips = [
        clip
        for clip in read_jsonl(speech / "manifest.jsonl")
        if clip["language"] == "en" and "clean" in clip["tags"] and 3 < clip["duration_s"] < 8
    ][:N_CLIPS]
    paths = [speech / clip["path"] for clip in clips]
    result = program.run("transcribe", "--format", "jsonl", *paths, timeout=280)
    assert result.returncode == 0, result.stderr
    normalize = EnglishTextNormalizer()
    heard = [normalize(json.loads(line)["text"]) for line in result.stdout.splitlines()]
    assert jiwer.wer([normalize(clip["text"]) for clip in clips], heard) < 0.1
