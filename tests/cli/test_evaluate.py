"""``evaluate`` as a user starts it, on the project's own speech."""

import json

import pytest

pytestmark = [pytest.mark.bundle, pytest.mark.usefixtures("bundles")]


def test_clips_are_heard_and_reported(program, sample, tmp_path):
    results, page = tmp_path / "results.json", tmp_path / "report.html"

    result = program.run(
        *("evaluate", sample / "manifest.jsonl", "--bundle", "whisper-tiny.en", "--limit", 2),
        *("--cut", "both", "--json", results, "--html", page),
    )

    assert result.returncode == 0, result.stderr
    assert "whisper-tiny.en, whole files" in result.stdout
    found = json.loads(results.read_text(encoding="utf-8"))
    assert [system["name"] for system in found["systems"]] == [
        "whisper-tiny.en",
        "whisper-tiny.en, whole files",
    ]
    for system in found["systems"]:
        assert system["languages"].keys() == {"en"}
        assert system["all"]["error_rate"]["value"] < 20
        for kind in ("calibration", "word_calibration"):
            assert 0 < system[kind]["groups"][0]["confidence"] <= 1
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")

    again = program.run(
        *("evaluate", sample, "--bundle", "whisper-tiny.en", "--limit", 1, "--format", "json"),
        *("--beside", results),
    )

    assert again.returncode == 0, again.stderr
    assert [system["name"] for system in json.loads(again.stdout)["systems"]] == [
        "whisper-tiny.en",
        "whisper-tiny.en (results)",
        "whisper-tiny.en, whole files",
    ]


def test_clips_of_no_such_tag_are_one_sentence(program, sample):
    result = program.run("evaluate", sample, "--tag", "under-water")

    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert "no clip is as asked for" in result.stderr


def test_a_report_of_translations_is_refused_before_anything_is_heard(program, sample, tmp_path):
    result = program.run(
        *("evaluate", sample, "--bundle", "whisper-base", "--task", "translate"),
        *("--html", tmp_path / "report.html"),
    )

    assert result.returncode == 2
    assert "--html and --beside are about transcription" in result.stderr
