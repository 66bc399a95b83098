"""A recognizer signs the log when there is a key, and what it signed is verified from outside."""

import json

import pytest

pytestmark = [pytest.mark.bundle, pytest.mark.usefixtures("bundles")]
pytest.importorskip("cryptography")


def test_a_day_with_a_key_is_signed_and_verified_against_a_snapshot(program, sample, tmp_path):
    key = program.run("log", "key")
    assert key.returncode == 0, key.stderr
    public = key.stdout.strip()
    assert program.run("listen", "--wav", sample / "demo.flac", "--fast").returncode == 0
    recognized = program.run("recognize", "--until-idle")
    assert recognized.returncode == 0, recognized.stderr
    (tmp_path / "kept.json").write_text(program.run("log", "snapshot").stdout, encoding="ascii")
    assert json.loads((tmp_path / "kept.json").read_text())["public_key"] == public
    verify = ("log", "verify", "--public-key", public, "--snapshot", tmp_path / "kept.json")
    verified = program.run(*verify)
    assert verified.returncode == 0, verified.stdout
    assert f"signed with the key {public}" in verified.stdout
    exported = program.run("log", "export", "--format", "chain").stdout.splitlines()
    acts = [json.loads(line).get("content", {}).get("kind") for line in exported]
    # The last entry: nothing was left unsigned when it ended.
    assert acts[-2] == "signed"
    (tmp_path / "other.json").write_text("{}", encoding="ascii")
    refused = program.run("log", "verify", "--snapshot", tmp_path / "other.json")
    assert refused.returncode == 1
    assert "is no snapshot of a log" in refused.stderr
