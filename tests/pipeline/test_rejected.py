"""What the gate throws away can be seen, heard, and read."""

import json

import pytest

pytestmark = [pytest.mark.bundle, pytest.mark.usefixtures("bundles")]


def test_what_a_gate_that_is_too_strict_throws_away_shows(program, sample, tmp_path):
    strict = tmp_path / "strict.yaml"
    strict.write_text("vad: {threshold: 1.0}\n", encoding="utf-8")
    given = ("--config", strict)
    heard = program.run(*given, "listen", "--wav", sample / "demo.flac", "--fast")
    assert heard.returncode == 0, heard.stderr
    assert program.export() == []

    summary = program.run("log", "rejected")
    assert summary.returncode == 0, summary.stderr
    assert summary.stdout.startswith("demo\tunsure\t")

    told = program.run("log", "rejected", "--transcribe", "--format", "jsonl")
    assert told.returncode == 0, told.stderr
    found = [json.loads(line) for line in told.stdout.splitlines()]
    assert "conference" in " ".join(each["text"] for each in found).lower()
    assert all(each["because"] == "unsure" for each in found)


def test_nothing_is_kept_where_that_is_switched_off(program, sample, tmp_path):
    strict = tmp_path / "strict.yaml"
    strict.write_text("vad: {threshold: 1.0, keep_rejected_h: 0}\n", encoding="utf-8")
    heard = program.run("--config", strict, "listen", "--wav", sample / "demo.flac", "--fast")
    assert heard.returncode == 0, heard.stderr
    assert "Nothing was nearly taken for speech" in program.run("log", "rejected").stdout
