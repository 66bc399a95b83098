"""What is redacted is gone from every file, and the chain stays valid and says so."""

import subprocess
import sys
from pathlib import Path

import pytest

from edge_asr import verify_log
from edge_asr.errors import StoreError
from edge_asr.store import Store, redaction
from edge_asr.store.signing import make_key
from edge_asr.store.verification import Kept
from tests.store.speech import say, write_down, write_down_first

SECRET = "Xylophonquark"  # noqa: S105 (a word, no password)


def findings_of(store, head="", **options):
    found = []
    verified = store.integrity.verify(found.append, Kept(head), **options)
    return found, verified


def files_with(state_dir, word):
    """Return the files that have the word in some spelling."""
    spellings = [word.encode(), word.lower().encode(), word.lower()[2:].encode()]
    return [
        path.name
        for path in state_dir.rglob("*")
        if path.is_file() and any(spelling in path.read_bytes() for spelling in spellings)
    ]


def tell_a_secret(store):
    utterance = say(store)
    for number in range(3):
        write_down(store, utterance, f"the word is {SECRET} {number}")
    for number in range(30):
        write_down(store, say(store, seed=number + 1, n_samples=800), f"pump {number} is well")
    return utterance


def test_the_words_and_the_sound_are_gone_from_every_file(state_dir):
    with Store.open(state_dir) as store:
        utterance = tell_a_secret(store)
        assert files_with(state_dir, SECRET)
        store.integrity.redact(utterance, "asked for")
        assert files_with(state_dir, SECRET) == []
        assert not (state_dir / utterance.audio_path).exists()
        assert store.transcripts.versions(utterance.utterance_id) == []
        assert store.log.search(SECRET, limit=9) == []
        assert len(store.log.search("pump", limit=99)) == 30
        assert store._database.row("PRAGMA integrity_check") == ("ok",)
    assert files_with(state_dir, SECRET) == []


def test_a_redacted_log_is_valid_and_says_what_went(store):
    utterance = tell_a_secret(store)
    kept = str(store.integrity.head())
    store.integrity.redact(utterance, "asked for")
    found, verified = findings_of(store, kept)
    assert found == []
    assert verified.n_excused == 3
    assert store.integrity.redacted_because(utterance.utterance_id) == "asked for"
    with pytest.raises(StoreError, match="gone already"):
        store.integrity.redact(utterance, "again")


def test_words_that_went_without_a_tombstone_are_damage(store):
    utterance = tell_a_secret(store)
    store._database.rows("DELETE FROM transcripts WHERE version = 2")
    found, _ = findings_of(store)
    assert found == ["entry 4 (transcripts 2): its content was removed, and no entry says why"]
    store._database.rows("UPDATE utterances SET sound_removed = 1 WHERE id = 2")
    (_, sentence) = findings_of(store)[0]
    assert sentence == "utterance 2: its sound is gone, and no entry says why"
    assert utterance.utterance_id == 1


def test_a_row_without_an_entry_is_found(store):
    say(store)
    store._database.rows(
        "INSERT INTO transcripts (utterance_id, version, text, language, task, decode_s, flags,"
        " bundle, bundle_sha256, created_utc_ns)"
        " VALUES (1, 1, 'I never said that', 'en', 'transcribe', 1.0, '[]', 'b', 's', 1)"
    )
    found, _ = findings_of(store)
    assert found == ["transcripts 1: was inserted, no entry of the chain is about it"]


def test_sound_that_is_missing_or_was_changed_is_found(store, state_dir):
    first, second = say(store), say(store, seed=1)
    (state_dir / first.audio_path).unlink()
    content = bytearray((state_dir / second.audio_path).read_bytes())
    content[-1] ^= 1
    (state_dir / second.audio_path).write_bytes(content)
    assert findings_of(store, sound=False)[0] == []
    missing, changed = findings_of(store)[0]
    assert missing.startswith("utterance 1: its sound ")
    assert missing.endswith("is missing")
    assert changed.endswith("was damaged or changed")


def test_what_is_redacted_is_neither_transcribed_nor_gets_a_version(store):
    utterance = say(store)
    store.integrity.redact(utterance, "asked for")
    assert store.transcripts.pending() is None
    assert store.transcripts.backlog().n == 0
    assert write_down_first(store, utterance) is None
    with pytest.raises(StoreError, match="was redacted"):
        write_down(store, utterance)


def test_what_is_held_is_not_redacted(store):
    utterance = say(store)
    assert store.integrity.hold([1], "accident") == [1]
    assert store.integrity.hold([1], "accident") == []
    with pytest.raises(StoreError, match="is held"):
        store.integrity.redact(utterance, "asked for")
    assert store.integrity.release([1], "closed") == [1]
    store.integrity.redact(utterance, "asked for")
    assert findings_of(store)[0] == []


def test_a_kill_between_the_tombstone_and_the_file_brings_nothing_back(state_dir, monkeypatch):
    with Store.open(state_dir) as store:
        utterance = say(store)
        monkeypatch.setattr(redaction, "unlink_noted", lambda *_args: 0)
        store.integrity.redact(utterance, "asked for")
        assert (state_dir / utterance.audio_path).exists()
        assert store.utterances.recover().repairs == ()
        assert not (state_dir / utterance.audio_path).exists()
        assert findings_of(store)[0] == []


def run_verifier(path, *arguments):
    """Run the one file alone, in a directory without anything of ours."""
    script = path.parent / "verify_log.py"
    script.write_bytes(Path(verify_log.__file__).read_bytes())
    return subprocess.run(
        [sys.executable, "-S", "-I", str(script), str(path), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def exported(store, tmp_path):
    path = tmp_path / "chain.jsonl"
    path.write_text("".join(line + "\n" for line in store.integrity.export()))
    return path


def test_the_one_file_alone_verifies_an_export(store, tmp_path):
    store.integrity.redact(tell_a_secret(store), "asked for")
    path = exported(store, tmp_path)
    result = run_verifier(path, "--head", str(store.integrity.head()))
    assert (result.returncode, result.stderr) == (0, "")
    assert "3 of them redacted or removed" in result.stdout
    lines = path.read_text().splitlines(keepends=True)
    damages = {
        "its content was changed": [line.replace("pump 7", "pump 8") for line in lines],
        "entries 9 to 9 were removed": lines[:9] + lines[10:],
        "out of order": [*lines[:5], lines[4], *lines[5:]],
        "the export was cut off": lines[:-1],
        "is no entry of a log": [*lines[:3], "[1, 2]\n", *lines[3:]],
    }
    for sentence, damaged in damages.items():
        path.write_text("".join(damaged))
        result = run_verifier(path)
        assert sentence in result.stdout
        assert (result.returncode, result.stderr) == (1, "")


def test_an_export_that_was_cut_and_closed_again_shows_against_a_kept_head(store, tmp_path):
    say(store)
    lines = list(store.integrity.export())
    write_down(store, say(store, seed=1))
    kept = str(store.integrity.head())
    path = tmp_path / "chain.jsonl"
    path.write_text("\n".join(lines))
    assert run_verifier(path).returncode == 0
    result = run_verifier(path, "--head", kept)
    assert result.returncode == 1
    assert "its end was cut off" in result.stdout


def test_a_signed_export_is_verified_with_the_public_key(store, tmp_path):
    pytest.importorskip("cryptography")
    say(store)
    public = make_key(store.state_dir)
    assert make_key(store.state_dir) == public
    assert (store.state_dir / "signing.key").stat().st_mode & 0o777 == 0o600
    lines = list(store.integrity.export())
    assert f"ok the export is signed with the key {public}" in list(
        verify_log.check_export(lines, "", public)
    )
    other = "ab" * 32
    assert "the export is signed with another key" in list(
        verify_log.check_export(lines, "", other)
    )
    forged = [line.replace('"signed_utc_ns": 1', '"signed_utc_ns": 2') for line in lines]
    assert "the export: the signature does not match" in list(
        verify_log.check_export(forged, "", public)
    )
    # Python without the library says that it could not look.
    result = run_verifier(exported(store, tmp_path), "--public-key", public)
    assert result.returncode == 1
    assert "the export was not checked" in result.stdout
