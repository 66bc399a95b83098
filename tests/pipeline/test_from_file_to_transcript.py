"""The whole appliance, as its user starts it: sound in, transcripts out."""

import json
import signal
import time

import jiwer
import numpy as np
import pytest
import soundfile
from whisper_normalizer.english import EnglishTextNormalizer

from tests.jsonl import read_jsonl

pytestmark = [pytest.mark.bundle, pytest.mark.usefixtures("bundles")]

normalize = EnglishTextNormalizer()


def wer(reference, hypothesis):
    return jiwer.wer(normalize(reference), normalize(hypothesis))


def listen_and_recognize(program, wav, bundle="whisper-tiny.en"):
    heard = program.run("listen", "--wav", wav, "--fast")
    assert heard.returncode == 0, heard.stderr
    recognized = program.run("--bundle", bundle, "recognize", "--until-idle")
    assert recognized.returncode == 0, recognized.stderr


def test_what_is_said_in_a_file_is_in_the_log(program, sample):
    listen_and_recognize(program, sample / "demo.flac")
    rows = program.export()
    said = (sample / "demo.txt").read_text(encoding="utf-8")
    assert wer(said, " ".join(row["text"] for row in rows)) < 0.15
    assert len(rows) >= 4
    assert {row["bundle"] for row in rows} == {"whisper-tiny.en"}
    assert [row["version"] for row in rows] == [1] * len(rows)
    starts = [row["start_utc"] for row in rows]
    assert starts == sorted(starts)


def test_recognizing_again_changes_nothing(program, sample):
    listen_and_recognize(program, sample / "demo.flac")
    before = program.export()
    again = program.run("--bundle", "whisper-tiny.en", "recognize", "--until-idle")
    assert again.returncode == 0
    assert program.export() == before


def test_a_recognizer_that_is_killed_loses_and_doubles_nothing(program, sample):
    heard = program.run("listen", "--wav", sample / "demo.flac", "--fast")
    assert heard.returncode == 0, heard.stderr
    for _ in range(4):
        process = program.start("--bundle", "whisper-tiny.en", "recognize", "--format", "jsonl")
        process.stdout.readline()  # one transcript is committed: the next is being decoded
        process.send_signal(signal.SIGKILL)
        process.communicate()
    rest = program.run("--bundle", "whisper-tiny.en", "recognize", "--until-idle")
    assert rest.returncode == 0, rest.stderr
    rows = program.export()
    assert len({row["utterance_id"] for row in rows}) == len(rows)
    said = (sample / "demo.txt").read_text(encoding="utf-8")
    assert wer(said, " ".join(row["text"] for row in rows)) < 0.15


def test_a_listener_that_is_killed_in_a_sentence_keeps_what_it_heard(program, sample):
    process = program.start("listen", "--wav", sample / "demo.flac", "--format", "jsonl")
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "level" and event["speaking"]:
            break
    time.sleep(2.5)
    process.send_signal(signal.SIGKILL)
    process.communicate()

    recovered = program.start("listen", "--wav", sample / "demo.flac", "--format", "jsonl")
    first = json.loads(recovered.stdout.readline())
    recovered.stdin.close()
    recovered.send_signal(signal.SIGTERM)
    recovered.wait(30)
    recovered.stdout.close()
    recovered.stderr.close()
    assert first["event"] == "utterance"
    assert first["end_reason"] == "recovered"
    assert first["duration_s"] > 1.0  # at most the last second is lost


def test_the_sample_in_three_languages_is_understood(program, sample):
    clips = [
        clip
        for clip in read_jsonl(sample / "manifest.jsonl")
        if clip["language"] in {"en", "es", "fr"}
    ]
    result = program.run(
        "--bundle",
        "whisper-base",
        "transcribe",
        "--languages",
        "en,es,fr",
        "--format",
        "jsonl",
        *(sample / clip["path"] for clip in clips),
        timeout=280,
    )
    assert result.returncode == 0, result.stderr
    found = [json.loads(line) for line in result.stdout.splitlines()]
    n_right = sum(
        answer["language"] == clip["language"] for answer, clip in zip(found, clips, strict=True)
    )
    assert n_right >= len(clips) - 1
    reference = " ".join(clip["text"] for clip in clips)
    assert wer(reference, " ".join(answer["text"] for answer in found)) < 0.25


def test_speech_is_translated_into_english(program, sample):
    clip = next(c for c in read_jsonl(sample / "manifest.jsonl") if c["language"] == "es")
    result = program.run(
        "--bundle",
        "whisper-base",
        "transcribe",
        "--task",
        "translate",
        "--language",
        "es",
        sample / clip["path"],
    )
    assert result.returncode == 0, result.stderr
    english = {"the", "to", "you", "your", "is", "are", "of", "a", "all", "our", "please", "for"}
    assert len(english & set(normalize(result.stdout).split())) >= 2


def test_people_may_change_the_language_from_one_utterance_to_the_next(program, sample, tmp_path):
    clips = {clip["path"]: clip for clip in read_jsonl(sample / "manifest.jsonl")}
    wanted = (
        "en-confbridge-pin.flac",
        "fr-queue-periodic-announce.flac",
        "es-queue-periodic-announce.flac",
        "en-demo-thanks.flac",
    )
    spoken = [clips[name] for name in wanted]
    parts = []
    for clip in spoken:
        sound, rate = soundfile.read(sample / clip["path"], dtype="float32")
        parts += [sound, np.zeros(int(1.5 * rate), np.float32)]
    soundfile.write(tmp_path / "mixed.flac", np.concatenate(parts), rate)

    result = program.run(
        *("--bundle", "whisper-base", "transcribe", "--languages", "en,es,fr,de"),
        *("--format", "json", tmp_path / "mixed.flac"),
    )

    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout)
    heard = [segment["language"] for segment in found["segments"]]
    changes = [language for i, language in enumerate(heard) if i == 0 or heard[i - 1] != language]
    assert changes == ["en", "fr", "es", "en"]
    assert wer(" ".join(clip["text"] for clip in spoken), found["text"]) < 0.25


def test_detection_answers_none_but_the_languages_that_are_allowed(program, sample):
    result = program.run(
        *("--bundle", "whisper-base", "transcribe", "--languages", "en,es", "--format", "json"),
        *("--", sample / "fr-queue-periodic-announce.flac"),
    )

    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)["language"] in {"en", "es"}
