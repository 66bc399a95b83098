"""Every fact is an entry of the chain, and nothing can be changed behind its back unnoticed."""

import hashlib
import json
import random

import apsw
import pytest

from edge_asr import clock, verify_log
from edge_asr.errors import StoreError
from edge_asr.records import Gap, GapKind
from edge_asr.store import Store, chain
from edge_asr.store.database import Database
from edge_asr.store.migrating import migrate
from edge_asr.store.schema import MIGRATIONS
from tests.store.speech import say, write_down


def fill(store):
    """Say two things; the first is written down twice."""
    first = say(store)
    write_down(store, first, "pump seven")
    write_down(store, first, "pump eight")
    store.gaps.add("mic", Gap(GapKind.OVERFLOW, clock.now(), 0.5, "late"))
    write_down(store, say(store, seed=1), "all is well")


def entries_of(store):
    database = store._database
    return list(chain.entries(database, chain.head(database).seq))


def findings(entries, kept=""):
    checker = verify_log.Checker(kept)
    found = [sentence for entry in entries for sentence in checker.check(entry)]
    return found + list(checker.end())


def behind_its_back(state_dir, *statements):
    connection = apsw.Connection(str(state_dir / "log.sqlite3"))
    for statement in statements:
        connection.execute(statement).fetchall()
    connection.close()


def test_every_fact_becomes_an_entry_in_order(store):
    fill(store)
    entries = entries_of(store)
    tables = ["events", "utterances", "transcripts", "transcripts", "gaps"]
    assert [entry["table"] for entry in entries] == [*tables, "utterances", "transcripts"]
    assert [entry["seq"] for entry in entries] == list(range(1, 8))
    assert entries[2]["content"]["text"] == "pump seven"
    assert findings(entries) == []


def test_the_hashes_are_those_that_the_rules_say(store):
    """Computed here from the words of the rules, with nothing of ours."""
    fill(store)
    previous = "0" * 64
    for entry in entries_of(store):
        text = json.dumps(entry["content"], sort_keys=True, separators=(",", ":"))
        digest = hashlib.sha256((entry["salt"] + text).encode("ascii")).hexdigest()
        assert digest == entry["digest"]
        line = (
            f"edge-asr-chain-1 {entry['seq']} {entry['recorded_utc_ns']} {entry['table']}"
            f" {entry['id']} {digest} {previous}"
        )
        previous = hashlib.sha256(line.encode("ascii")).hexdigest()
        assert previous == entry["head"]


def test_a_row_is_not_added_without_its_entry(store, monkeypatch):
    utterance = say(store)
    before = chain.head(store._database)

    def refuse(*_args):
        raise StoreError("no")

    monkeypatch.setattr("edge_asr.store.versions.append", refuse)
    with pytest.raises(StoreError, match="no"):
        write_down(store, utterance)
    assert store.transcripts.versions(utterance.utterance_id) == []
    assert chain.head(store._database) == before


def test_an_entry_belongs_into_the_transaction_of_its_row(store):
    utterance = say(store)
    with pytest.raises(StoreError, match="in the transaction that adds it"):
        chain.append(store._database, "utterances", utterance.utterance_id)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        (
            "UPDATE transcripts SET text = 'pump nine' WHERE id = 2",
            "entry 4 (transcripts 2): its content was changed after it was recorded",
        ),
        (
            "UPDATE utterances SET audio_sha256 = 'ab' WHERE id = 1",
            "entry 2 (utterances 1): its content was changed after it was recorded",
        ),
        (
            "DELETE FROM gaps",
            "entry 5 (gaps 1): its content was removed, and no entry says why",
        ),
        ("DELETE FROM chain WHERE seq IN (3, 4)", "entries 3 to 4 were removed"),
        (
            "UPDATE chain SET recorded_utc_ns = 7 WHERE seq = 4",
            "entry 4 (transcripts 2): does not follow from entry 3: one of them was changed",
        ),
        (
            "UPDATE chain SET head = zeroblob(32) WHERE seq = 4",
            "entry 5 (gaps 1): does not follow from entry 4: one of them was changed",
        ),
        (
            "UPDATE chain SET salt = zeroblob(16) WHERE seq = 4",
            "entry 4 (transcripts 2): its content was changed after it was recorded",
        ),
    ],
)
def test_what_is_changed_behind_its_back_is_found_and_named(store, state_dir, statement, expected):
    fill(store)
    behind_its_back(state_dir, "PRAGMA foreign_keys = OFF", statement)
    assert expected in findings(entries_of(store))


def test_entries_that_change_places_are_found(store, state_dir):
    fill(store)
    behind_its_back(
        state_dir,
        "UPDATE chain SET seq = -3 WHERE seq = 3",
        "UPDATE chain SET seq = 3 WHERE seq = 4",
        "UPDATE chain SET seq = 4 WHERE seq = -3",
    )
    assert len(findings(entries_of(store))) == 3


def test_a_tail_that_was_cut_off_shows_only_against_a_head_kept_elsewhere(store):
    fill(store)
    kept = str(chain.head(store._database))
    entries = entries_of(store)
    assert findings(entries, kept) == []
    assert findings(entries, kept.partition(":")[2]) == []
    assert findings(entries[:-1]) == []
    (sentence,) = findings(entries[:-1], kept)
    assert "its end was cut off, or the log was rewritten" in sentence


def test_a_log_that_was_rewritten_shows_against_a_head_kept_elsewhere(store, tmp_path):
    fill(store)
    kept = str(chain.head(store._database))
    with Store.open(tmp_path / "forged") as other:
        fill(other)
        assert len(findings(entries_of(other), kept)) == 1


def test_every_bit_of_an_entry_counts(store):
    """Whatever single bit of whatever field flips, it is found."""
    fill(store)
    entries = entries_of(store)
    rng = random.Random(0)
    for _ in range(300):
        lines = [json.dumps(entry).encode() for entry in entries]
        number = rng.randrange(len(lines) - 1)
        damaged = bytearray(lines[number])
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        lines[number] = bytes(damaged)
        try:
            changed = [json.loads(line) for line in lines]
            if changed[number] == entries[number]:
                continue  # 1e5 and 1E5 are the same number
            assert findings(changed) != []
        except (ValueError, KeyError):
            continue  # it is no entry any more, which the verifier says


def test_an_older_log_is_chained_when_it_is_brought_up_to_date(state_dir):
    state_dir.mkdir()
    database = Database(state_dir / "log.sqlite3")
    migrate(database, MIGRATIONS[:1])
    database.rows(
        "INSERT INTO utterances VALUES (1, 'u', 'mic', 1, 2, 'b', 'rtc', 3, 'pause', 'p', 's', 4)"
    )
    database.rows(
        "INSERT INTO transcripts VALUES (9, 1, 1, 'old', 'en', NULL, 'transcribe', 1.0, NULL,"
        " '[]', 'tiny', 'sha', 5)"
    )
    database.close()
    with Store.open(state_dir) as store:
        entries = entries_of(store)
        assert [(entry["table"], entry["id"]) for entry in entries] == [
            ("events", 1),
            ("utterances", 1),
            ("transcripts", 9),
        ]
        assert findings(entries) == []


def test_a_column_that_is_added_later_leaves_older_entries_valid(store, state_dir):
    fill(store)
    behind_its_back(
        state_dir,
        "ALTER TABLE transcripts ADD COLUMN mood TEXT",
        "ALTER TABLE transcripts ADD COLUMN pace TEXT NOT NULL DEFAULT 'calm'",
    )
    assert findings(entries_of(store)) == []
    behind_its_back(state_dir, "UPDATE transcripts SET pace = 'hasty' WHERE id = 1")
    assert len(findings(entries_of(store))) == 1
    write_down(store, say(store, seed=3), "with the new columns")
    assert len(findings(entries_of(store))) == 1


def test_every_table_of_facts_is_chained(store):
    """A table is chained, or is here with a reason why it is not."""
    not_facts = {
        "age_clock",  # counts on
        "age_marks",  # bookkeeping of retention
        "chain",
        "failures",  # counts of tries, which change
        "heartbeats",  # rewritten while a watch goes on; its end is the fact
        "held",  # a state; the events say when it began and ended
        "pass_failures",  # counts of tries, which change
        "sqlite_sequence",
        "unlinking",  # work left to do
    }
    tables = {
        row[0] for row in store._database.rows("SELECT name FROM sqlite_schema WHERE type='table'")
    }
    facts = {name for name in tables - not_facts if not name.startswith("words")}
    assert facts == set(chain.CHAINED)
