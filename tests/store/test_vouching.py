"""The log signs itself from time to time, and a snapshot shows later what was changed."""

import json

import pytest

from edge_asr import verify_log
from edge_asr.errors import StoreError
from edge_asr.store import Store, vouching
from edge_asr.store.chain import append
from edge_asr.store.signing import KEY, make_key
from edge_asr.store.verification import Kept
from tests.store.speech import say, write_down
from tests.store.test_redaction import exported, run_verifier

ed25519 = pytest.importorskip("cryptography.hazmat.primitives.asymmetric.ed25519")


def findings(store, **kept):
    found = []
    verified = store.integrity.verify(found.append, Kept(**kept))
    return found, verified.vouched


def signer(store, after_entries=0, after_s=0.0):
    return store.integrity.vouching(after_entries=after_entries, after_s=after_s)


def speak(store, n):
    for number in range(n):
        write_down(store, say(store, seed=number, n_samples=800), f"pump {number} is well")


def behind_its_back(store, *statements):
    for statement in statements:
        store._database.rows(statement)


def write_anew(store):
    """Change what was said first, and all hashes after it, as whoever has the card can."""
    database = store._database
    behind_its_back(store, "UPDATE transcripts SET text = 'pump 0 is broken' WHERE id = 1")
    previous = verify_log.FIRST_HEAD
    for entry in map(json.loads, list(store.integrity.export())[1:-1]):
        entry["digest"] = verify_log.digest_of(entry["content"], entry["salt"])
        previous = verify_log.head_of(entry, previous)
        database.rows(
            "UPDATE chain SET digest = ?, head = ? WHERE seq = ?",
            (bytes.fromhex(entry["digest"]), bytes.fromhex(previous), entry["seq"]),
        )


def test_without_a_key_nothing_is_signed(store):
    speak(store, 2)
    assert signer(store, after_entries=1).step(at_once=True) is None
    assert findings(store) == ([], ())


def test_new_entries_are_signed_after_so_many_and_never_twice(store):
    make_key(store.state_dir)
    signing = signer(store, after_entries=4)
    assert signing.step() is None  # only the beginning of the log is new
    speak(store, 2)
    assert signing.step().seq == 5
    assert vouching.unsigned(store._database) == 0
    assert signing.step() is None
    speak(store, 1)
    assert signing.step() is None
    assert signing.step(at_once=True).seq == 8
    assert vouching.unsigned(store._database) == 0
    assert signer(store, after_entries=1).step(at_once=True) is None  # nor by the next process


def test_new_entries_are_signed_after_so_long(store, monkeypatch):
    now_s = 5.0
    monkeypatch.setattr(vouching.time, "monotonic", lambda: now_s)
    make_key(store.state_dir)
    signing = signer(store, after_s=60.0)
    speak(store, 1)
    assert signing.step()  # what the process before it may have left
    speak(store, 1)
    now_s += 59.0
    assert signing.step() is None
    now_s += 1.0
    assert signing.step()


def test_signatures_say_up_to_where_the_key_vouches(store, tmp_path):
    public = make_key(store.state_dir)
    speak(store, 2)
    signed = signer(store).step(at_once=True)
    speak(store, 1)
    sentence = f"1 times signed within, up to entry {signed.seq}, with the key {public}"
    assert findings(store, public_key=public) == ([], (sentence,))
    (finding,), _ = findings(store, public_key="ab" * 32)
    assert finding.startswith("no entry is signed with this key")
    lines = exported(store, tmp_path).read_text().splitlines()
    assert f"ok {sentence}" in list(verify_log.check_export(lines, "", public))


def test_who_writes_the_log_anew_without_the_key_cannot_sign_it(store, state_dir):
    public = make_key(state_dir)
    speak(store, 3)
    signer(store).step(at_once=True)
    (state_dir / KEY).unlink()
    write_anew(store)
    found, _ = findings(store)
    # The chain itself is whole again: only the signature tells.
    assert found == ["entry 8 (events 2): signs another head than that of the entry before it"]
    make_key(state_dir)
    behind_its_back(
        store, "DELETE FROM chain WHERE seq = 8", "DELETE FROM events WHERE kind = 'signed'"
    )
    signer(store).step(at_once=True)
    assert findings(store)[0] == []
    (finding,), _ = findings(store, public_key=public)
    assert finding.startswith("no entry is signed with this key")


def test_a_signature_that_was_forged_is_found(store, state_dir):
    public = make_key(state_dir)
    speak(store, 1)
    signer(store).step(at_once=True)
    detail = json.loads(store._database.row("SELECT detail FROM events WHERE kind = 'signed'")[0])
    for wrong in ({"signature": "00" * 64}, {"signature": 7}, {"signed_utc_ns": 1}):
        problems = list(verify_log.check_signatures([{**detail, **wrong}]))
        assert problems == ["the signature of entry 3: the signature does not match"]
    assert next(verify_log.check_signatures([detail])).startswith("ok 1 times")
    assert detail["public_key"] == public


@pytest.mark.parametrize("detail", ["{}", "[]", "7", '{"seq": []}', '"x"'])
def test_an_event_that_says_nothing_ends_no_verification(store, detail):
    speak(store, 1)
    with store._database.transaction():
        rows = store._database.rows(
            "INSERT INTO events (kind, detail, created_utc_ns) VALUES ('signed', ?, 1)"
            " RETURNING id",
            (detail,),
        )
        append(store._database, "events", rows[0][0])
    (finding,), _ = findings(store)
    assert finding.startswith("entry 4 (events 2): s")


def test_a_snapshot_shows_which_part_of_the_log_is_not_as_it_was(store, tmp_path):
    public = make_key(store.state_dir)
    speak(store, 40)
    kept = store.integrity.snapshot()
    snapshot = verify_log.Snapshot(kept)
    assert len(snapshot.heads.split()) > 30
    speak(store, 2)
    told = f"the snapshot is signed with the key {public} (not compared)"
    assert findings(store, snapshot=snapshot) == ([], (told,))
    (tmp_path / "kept.json").write_text(kept)
    result = run_verifier(exported(store, tmp_path), "--snapshot", str(tmp_path / "kept.json"))
    # Python without the library says what it could not look at; the heads are there.
    assert "was not checked" in result.stdout
    assert "kept elsewhere" not in result.stdout
    lines = list(store.integrity.export())
    assert f"ok the snapshot is signed with the key {public}" in list(
        verify_log.check_export(lines, "", public, snapshot)
    )
    cut = [*lines[:60], json.dumps({"end": {"seq": 59, "head": json.loads(lines[59])["head"]}})]
    (sentence,) = [
        line for line in verify_log.check_export(cut, "", "", snapshot) if line[:3] != "ok "
    ]
    assert sentence.endswith("its end was cut off, or the log was rewritten, after entry 58")
    write_anew(store)
    found, _ = findings(store, snapshot=snapshot)
    assert found[0].endswith("after entry 2")


def test_a_snapshot_of_another_log_or_of_no_log_is_told(store, tmp_path):
    speak(store, 1)
    with Store.open(tmp_path / "other") as other:
        speak(other, 1)
        snapshot = verify_log.Snapshot(other.integrity.snapshot())
    found, _ = findings(store, snapshot=snapshot)
    assert found[0].startswith("what was kept elsewhere is of another log: ")
    good = json.loads(store.integrity.snapshot())
    for wrong in ("", "[]", "{}", json.dumps({**good, "heads": []})):
        with pytest.raises(ValueError, match=r".+"):
            verify_log.Snapshot(wrong)
    moved = json.dumps({**good, "signature": "ab", "seq": good["seq"] + 1})
    with pytest.raises(ValueError, match="another head"):
        verify_log.Snapshot(moved)


def test_a_snapshot_that_was_signed_with_another_key_is_told(store):
    make_key(store.state_dir)
    speak(store, 1)
    signer(store).step(at_once=True)
    snapshot = verify_log.Snapshot(store.integrity.snapshot())
    found, _ = findings(store, snapshot=snapshot, public_key="ab" * 32)
    assert found[0] == "the snapshot is signed with another key"


def test_a_key_that_cannot_be_used_is_told_and_harms_nothing(store):
    (store.state_dir / KEY).write_text("no key\n")
    speak(store, 1)
    with pytest.raises(StoreError, match="move it aside"):
        signer(store).step(at_once=True)
    assert findings(store) == ([], ())
