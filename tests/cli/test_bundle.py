"""``bundle``: what is on this machine, what it can do, and whether it is whole."""

import hashlib
import json

import pytest


@pytest.fixture
def bundles(tmp_path):
    """Return a directory with one whole bundle, small enough to make here."""
    directory = tmp_path / "bundles" / "tiny"
    directory.mkdir(parents=True)
    files = {"encoder_model.onnx": b"graph", "LICENSE": b"MIT\n"}
    for name, content in files.items():
        (directory / name).write_bytes(content)
    manifest = json.dumps(
        {
            "format": 1,
            "name": "tiny",
            "family": "whisper",
            "created_utc": "2026-11-24T00:00:00Z",
            "licence": "MIT",
            "files": {
                name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in files.items()
            },
            "source": {"origin": "a test"},
            "export": {},
            "model": {},
            "capabilities": {"tasks": ["transcribe"], "languages": ["de", "en"]},
            "quality": {"wer": {"float": 0.05, "int8": 0.06}},
        },
    ).encode()
    (directory / "manifest.json").write_bytes(manifest)
    digest = hashlib.sha256(manifest).hexdigest()
    (directory / "manifest.sha256").write_text(f"{digest}  manifest.json\n", encoding="ascii")
    return directory.parent


@pytest.fixture
def run(program, bundles):
    def bundle(*arguments):
        return program.run("bundle", *arguments, EDGE_ASR_BUNDLES=str(bundles))

    return bundle


def test_bundles_are_listed_with_what_they_can(run, bundles):
    result = run("list")
    assert result.returncode == 0
    assert result.stdout.split() == [
        *("tiny", "0.0", "MB,", "whisper,", "transcribe:", "de", "en"),
        str(bundles / "tiny"),
    ]
    (entry,) = json.loads(run("list", "--format", "json").stdout)
    assert json.loads(run("list", "--format", "jsonl").stdout) == entry
    assert entry["size_bytes"] == 9
    assert entry["problem"] is None


def test_a_bundle_with_a_damaged_manifest_is_listed_as_such(run, bundles):
    (bundles / "tiny" / "manifest.json").write_bytes(b"{}")
    result = run("list")
    assert result.returncode == 0
    assert "manifest.json does not match manifest.sha256" in result.stdout
    (entry,) = json.loads(run("list", "--format", "json").stdout)
    assert entry["problem"]


def test_no_bundles_at_all_is_said_with_the_way_to_make_one(program, tmp_path):
    result = program.run("bundle", "list", EDGE_ASR_BUNDLES=str(tmp_path))
    assert result.returncode == 0
    assert result.stdout == ""
    assert "python -m export whisper-base" in result.stderr


@pytest.mark.parametrize("by_path", [False, True])
def test_a_bundle_is_described(run, bundles, by_path):
    name = str(bundles / "tiny") if by_path else "tiny"
    lines = run("info", name).stdout.splitlines()
    facts = dict(line.split(maxsplit=1) for line in lines)
    assert facts["family"] == "whisper"
    assert facts["languages"] == "de, en"
    assert facts["detects_language"] == "no"
    assert facts["source.origin"] == "a test"
    assert facts["quality.wer.int8"] == "0.06"
    described = json.loads(run("info", name, "--format", "json").stdout)
    assert json.loads(run("info", name, "--format", "jsonl").stdout) == described
    assert described["quality"]["wer"]["float"] == 0.05


def test_a_whole_bundle_is_verified_file_by_file(run):
    result = run("verify", "tiny")
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        "ok       manifest.json",
        "ok       encoder_model.onnx",
        "ok       LICENSE",
    ]


def test_a_damaged_missing_or_unlisted_file_is_named(run, bundles):
    directory = bundles / "tiny"
    (directory / "encoder_model.onnx").write_bytes(b"graqh")
    (directory / "LICENSE").unlink()
    (directory / "extra.py").touch()
    result = run("verify", "tiny")
    assert result.returncode == 1
    assert result.stdout.splitlines() == [
        "ok       manifest.json",
        (
            f"damaged  {directory}/encoder_model.onnx: does not match its checksum; "
            "export or copy the bundle again"
        ),
        f"damaged  {directory}/LICENSE: missing, or not a plain file",
        f"damaged  {directory}/extra.py: not listed in the manifest; remove it",
    ]
    assert result.stderr == (
        "edge-asr: bundle tiny cannot be used: damaged: encoder_model.onnx, LICENSE, extra.py\n"
    )


def test_a_missing_bundle_is_one_sentence(run):
    for command in ("info", "verify"):
        result = run(command, "granite")
        assert result.returncode == 1
        assert result.stderr.startswith("edge-asr: no bundle 'granite'")
        assert result.stderr.count("\n") == 1
