"""``bundle prepare`` and ``bundle fit``: what they find out, and what comes of it."""

import hashlib
import json
import shutil

import pytest

from edge_asr.bundle import read_manifest
from edge_asr.cli.context import Context
from edge_asr.prepared import measured_pace
from edge_asr.sessions import default_threads

TERABYTE = 10**12


def write_bundle(directory, *, size, family="whisper"):
    """Write a manifest that claims a file of some size; nothing here reads the file."""
    directory.mkdir(parents=True)
    manifest = json.dumps(
        {
            "format": 1,
            "name": directory.name,
            "family": family,
            "created_utc": "2026-11-24T00:00:00Z",
            "licence": "MIT",
            "files": {"encoder_model.onnx": {"size": size, "sha256": "0" * 64}},
            "source": {},
            "export": {},
            "model": {},
            "capabilities": {"tasks": ["transcribe"], "languages": ["en"]},
            "quality": {},
        },
    ).encode()
    (directory / "manifest.json").write_bytes(manifest)
    digest = hashlib.sha256(manifest).hexdigest()
    (directory / "manifest.sha256").write_text(f"{digest}  manifest.json\n", encoding="ascii")


@pytest.fixture
def places(tmp_path):
    write_bundle(tmp_path / "bundles" / "giant", size=TERABYTE)
    write_bundle(tmp_path / "bundles" / "small", size=1000)
    write_bundle(tmp_path / "bundles" / "voice", size=1000, family="silero-vad")
    return {"EDGE_ASR_BUNDLES": str(tmp_path / "bundles")}


def test_all_speech_bundles_are_judged(program, places):
    result = program.run("bundle", "fit", "--no-measure", **places)
    assert result.returncode == 0
    rows = [line.split()[:2] for line in result.stdout.splitlines()]
    assert rows == [["giant", "hopeless"], ["small", "unknown"]]


def test_a_hopeless_one_that_was_named_is_an_error(program, places):
    result = program.run("bundle", "fit", "giant", **places)
    assert result.returncode == 1
    assert result.stderr.startswith("edge-asr: bundle giant is hopeless here: it takes about 2000")
    other = program.run("bundle", "fit", "voice", **places)
    assert other.stderr == (
        "edge-asr: bundle voice is of the family silero-vad, which does not hear speech\n"
    )


def test_a_configuration_with_a_hopeless_bundle_is_refused(program, places, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("recognition: {bundle: giant}\n", encoding="ascii")
    result = program.run("config", "check", config, **places)
    assert result.returncode == 78
    assert "recognition.bundle: giant is hopeless on this machine" in result.stderr
    config.write_text("recognition: {bundle: small}\n", encoding="ascii")
    assert program.run("config", "check", config, **places).returncode == 0


@pytest.mark.bundle
def test_preparing_finds_the_best_threads_and_they_are_used(program, bundles, tmp_path):
    copy = tmp_path / "own" / "whisper-tiny.en"
    shutil.copytree(bundles / "whisper-tiny.en", copy)
    places = {"EDGE_ASR_BUNDLES": str(copy.parent)}
    result = program.run("bundle", "prepare", "whisper-tiny.en", **places)
    assert result.returncode == 0, result.stderr
    assert "predicted real-time factor, with " in result.stdout

    _, digest = read_manifest(copy)
    found = measured_pace(copy, digest)
    assert 1 <= found.n_threads <= default_threads()
    assert found.rtf > 0

    context = Context(None, None, "whisper-tiny.en", debug=False, environ=places)
    assert context.threads_for(context.open_speech_bundle()) == found.n_threads
    config = tmp_path / "config.yaml"
    config.write_text("recognition: {threads: 5}\n", encoding="ascii")
    context = Context(config, None, "whisper-tiny.en", debug=False, environ=places)
    assert context.threads_for(context.open_speech_bundle()) == 5, "what is set wins"
    judged = program.run("bundle", "fit", "--no-measure", "whisper-tiny.en", **places)
    assert f"RTF {found.rtf:.2f}" in judged.stdout
