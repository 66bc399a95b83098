"""Nothing of a bundle is used unless all of it is as it was built."""

import hashlib
import json
import os
import random
import subprocess

import pytest

from edge_asr.bundle import (
    MANIFEST,
    SEAL,
    find_bundle,
    list_bundles,
    open_bundle,
    read_manifest,
    seal_line,
)
from edge_asr.errors import BundleDamagedError, BundleError, BundleNotFoundError, RequestError
from edge_asr.records import Request, Task

FILES = {
    "encoder_model.onnx": random.Random(1).randbytes(300),
    "encoder_model.onnx_data": random.Random(2).randbytes(150),
    "tokenizer.json": b'{"model": {}}',
    "LICENSE": b"MIT\n",
}
CAPABILITIES = {
    "tasks": ["transcribe", "translate"],
    "languages": ["de", "en", "fr"],
    "translation_targets": ["en"],
    "detects_language": True,
}


def seal(directory, manifest):
    """Write the manifest and its seal, as an export does."""
    raw = json.dumps(manifest).encode()
    (directory / MANIFEST).write_bytes(raw)
    (directory / SEAL).write_text(seal_line(hashlib.sha256(raw).hexdigest()), encoding="ascii")


def manifest_of(files, **fields):
    return {
        "format": 1,
        "name": "tiny",
        "family": "whisper",
        "created_utc": "2026-11-24T00:00:00Z",
        "licence": "MIT",
        "files": {
            name: {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
            for name, content in files.items()
        },
        "source": {},
        "export": {},
        "model": {},
        "capabilities": CAPABILITIES,
        "quality": {},
        **fields,
    }


@pytest.fixture
def bundle(tmp_path):
    """Return the directory of a bundle with nothing wrong."""
    directory = tmp_path / "bundles" / "tiny"
    directory.mkdir(parents=True)
    for name, content in FILES.items():
        (directory / name).write_bytes(content)
    seal(directory, manifest_of(FILES))
    return directory


def refusal(directory):
    with pytest.raises(BundleDamagedError) as caught:
        open_bundle(directory)
    return str(caught.value)


def test_a_whole_bundle_opens_and_its_identity_is_its_manifest(bundle):
    opened = open_bundle(bundle, family="whisper")
    assert opened.name == "tiny"
    assert opened.sha256 == hashlib.sha256((bundle / MANIFEST).read_bytes()).hexdigest()
    assert opened.path("tokenizer.json") == bundle / "tokenizer.json"
    with pytest.raises(BundleError, match="has no file vocabulary"):
        opened.path("vocabulary")


def test_the_seal_is_what_sha256sum_checks(bundle):
    result = subprocess.run(["sha256sum", "--check", SEAL], cwd=bundle, check=False)
    assert result.returncode == 0


@pytest.mark.parametrize("name", [*FILES, MANIFEST, SEAL])
def test_one_flipped_bit_in_any_byte_of_any_file_is_refused_by_name(bundle, name):
    path = bundle / name
    whole = path.read_bytes()
    bits = random.Random(name)
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << bits.randrange(8)
        path.write_bytes(damaged)
        assert name in refusal(bundle), f"byte {place}"
    path.write_bytes(whole)
    open_bundle(bundle)


@pytest.mark.parametrize("name", [*FILES, MANIFEST, SEAL])
@pytest.mark.parametrize("damage", [lambda raw: raw[:-1], lambda raw: raw + b"\n", lambda _: b""])
def test_a_file_of_another_length_is_refused_by_name(bundle, name, damage):
    path = bundle / name
    path.write_bytes(damage(path.read_bytes()))
    assert name in refusal(bundle)


@pytest.mark.parametrize("name", [*FILES, SEAL])
def test_a_missing_file_is_refused_by_name(bundle, name):
    (bundle / name).unlink()
    assert str(bundle / name) in refusal(bundle)


@pytest.mark.parametrize("name", ["model.py", ".hidden", "encoder_model.onnx~", "MANIFEST.json"])
def test_a_file_that_nobody_listed_is_refused_by_name(bundle, name):
    (bundle / name).touch()
    assert str(bundle / name) in refusal(bundle)


def test_a_folder_that_nobody_listed_is_refused_by_name(bundle):
    (bundle / "more").mkdir()
    assert str(bundle / "more") in refusal(bundle)


@pytest.mark.parametrize("name", [*FILES, MANIFEST, SEAL])
def test_a_symbolic_link_is_refused_even_to_the_right_content(bundle, tmp_path, name):
    (bundle / name).rename(tmp_path / "elsewhere")
    (bundle / name).symlink_to(tmp_path / "elsewhere")
    assert str(bundle / name) in refusal(bundle)


@pytest.mark.parametrize("name", [*FILES, MANIFEST, SEAL])
def test_a_hard_link_is_refused_even_to_the_right_content(bundle, tmp_path, name):
    os.link(bundle / name, tmp_path / "elsewhere")
    assert str(bundle / name) in refusal(bundle)


@pytest.mark.parametrize("name", ["tokenizer.json", MANIFEST, SEAL])
def test_a_pipe_or_a_folder_in_a_files_place_is_refused(bundle, name):
    (bundle / name).unlink()
    os.mkfifo(bundle / name)
    assert str(bundle / name) in refusal(bundle)
    (bundle / name).unlink()
    (bundle / name).mkdir()
    assert str(bundle / name) in refusal(bundle)


@pytest.mark.parametrize(
    "name",
    [
        "../outside",
        "/etc/hostname",
        "folder/model.onnx",
        "a\\..\\b",
        "..",
        ".",
        "",
        "-rf",
        ".hidden",
        "a\x00b",
        "a\nb",
        "model.onnx\n",
        MANIFEST,
        SEAL,
    ],
)
def test_a_manifest_that_names_a_file_elsewhere_is_refused(bundle, name):
    seal(bundle, manifest_of({**FILES, name: b"x"}))
    assert f"bad file name {name!r}" in refusal(bundle)


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        (b"", "truncated"),
        (b"not JSON", "malformed"),
        (b"[]", "Expected `object`"),
        (b"\xff\xfe", ""),
        (b"[" * 100_000, ""),
        (json.dumps(manifest_of(FILES, surprise=1)).encode(), "unknown field `surprise`"),
        (json.dumps({**manifest_of(FILES), "files": []}).encode(), "$.files"),
    ],
)
def test_a_sealed_manifest_that_is_none_is_refused(bundle, raw, problem):
    (bundle / MANIFEST).write_bytes(raw)
    (bundle / SEAL).write_text(seal_line(hashlib.sha256(raw).hexdigest()), encoding="ascii")
    message = refusal(bundle)
    assert MANIFEST in message
    assert problem in message


def test_a_manifest_too_large_to_be_one_is_not_read(bundle):
    with (bundle / MANIFEST).open("wb") as file:
        file.truncate(1 << 40)
    assert "too large" in refusal(bundle)


def test_a_bundle_of_a_later_format_says_what_to_do(bundle):
    seal(bundle, manifest_of(FILES, format=2))
    with pytest.raises(BundleError, match="bundle format 2 is not 1; export it again"):
        open_bundle(bundle)


def test_a_bundle_of_another_family_is_refused(bundle):
    with pytest.raises(BundleError, match="family whisper, where one of silero-vad is needed"):
        open_bundle(bundle, family="silero-vad")


def test_a_directory_without_a_bundle_is_not_found(tmp_path):
    with pytest.raises(BundleNotFoundError, match="no model bundle there"):
        open_bundle(tmp_path)
    with pytest.raises(BundleNotFoundError, match="no model bundle there"):
        open_bundle(tmp_path / "missing")


def test_reading_a_manifest_verifies_no_other_file(bundle):
    (bundle / "tokenizer.json").write_bytes(b"damaged")
    manifest, digest = read_manifest(bundle)
    assert manifest.name == "tiny"
    assert len(digest) == 64


def test_a_bundle_is_found_by_name_in_the_first_place_that_has_it(bundle, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    places = [tmp_path / "missing", empty, bundle.parent]
    assert find_bundle("tiny", places) == bundle
    assert list_bundles(places) == [bundle]


def test_a_bundle_is_found_by_its_path(bundle):
    assert find_bundle(f"{bundle}/", []) == bundle


def test_a_missing_bundle_lists_those_that_are_there(bundle):
    with pytest.raises(BundleNotFoundError) as caught:
        find_bundle("granite", [bundle.parent])
    assert "there: tiny" in str(caught.value)
    assert "python -m export granite" in str(caught.value)


def test_what_a_bundle_can_do_is_granted(bundle):
    opened = open_bundle(bundle)
    opened.check(Request())
    opened.check(Request(language="de"))
    opened.check(Request(allowed_languages=("de", "fr")))
    opened.check(Request(task=Task.TRANSLATE, language="fr", target_language="en"))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            Request(language="ja"),
            ("bundle tiny does not know the language 'ja'; it knows: de, en, fr"),
        ),
        (Request(allowed_languages=("de", "ja")), "does not know the language 'ja'"),
        (
            Request(task=Task.TRANSLATE, target_language="fr"),
            ("cannot translate into 'fr'; it can: en"),
        ),
        (Request(target_language="en"), "a target language goes with the task translate"),
        (Request(keywords=("Kanban",)), "bundle tiny cannot use keywords"),
        (Request(punctuated=True), "bundle tiny cannot be asked for punctuation"),
    ],
)
def test_what_a_bundle_cannot_do_is_an_error_that_says_what_it_can(bundle, request_, message):
    with pytest.raises(RequestError) as caught:
        open_bundle(bundle).check(request_)
    assert message in str(caught.value)


def test_a_bundle_without_a_task_says_so(bundle):
    seal(bundle, manifest_of(FILES, family="silero-vad", capabilities={}))
    with pytest.raises(RequestError, match="cannot transcribe; it can: nothing"):
        open_bundle(bundle).check(Request())


def test_a_bundle_that_cannot_detect_the_language_wants_one_named(bundle):
    can = {**CAPABILITIES, "detects_language": False}
    seal(bundle, manifest_of(FILES, capabilities=can))
    opened = open_bundle(bundle)
    opened.check(Request(language="de"))
    with pytest.raises(RequestError, match="cannot detect the language; name one"):
        opened.check(Request())


def test_a_bundle_with_one_language_needs_none_named(bundle):
    can = {**CAPABILITIES, "detects_language": False, "languages": ["en"]}
    seal(bundle, manifest_of(FILES, capabilities=can))
    open_bundle(bundle).check(Request())
    open_bundle(bundle).check(Request(allowed_languages=("de", "en")))
    with pytest.raises(RequestError, match="does not know the language 'de'"):
        open_bundle(bundle).check(Request(allowed_languages=("de", "fr")))
