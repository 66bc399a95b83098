"""The commands of ``log`` that prove, remove, keep and account, as they are called."""

import datetime as dt
import json

import pytest
from click.testing import CliRunner

from edge_asr import clock
from edge_asr.alarms import AlarmCode
from edge_asr.cli import edge_asr
from edge_asr.errors import ConfigError, EdgeAsrError, StoreError
from edge_asr.records import Gap, GapKind
from edge_asr.store import Store
from edge_asr.verify_log import Snapshot
from tests.store.speech import say, write_down

HOUR_NS = 3_600 * 10**9


@pytest.fixture
def state(tmp_path):
    """Fill a store: two utterances of the press, one of the gate; the last has no text yet."""
    directory = tmp_path / "state"
    now = clock.now()
    with Store.open(directory) as store:
        write_down(store, say(store, "press", 16_000, now.shifted(-2 * HOUR_NS)), "pump seven")
        write_down(store, say(store, "gate", 16_000, now.shifted(-HOUR_NS)), "open the gate")
        say(store, "press", 16_000, now)
    return directory


def invoke(state, *arguments, options=()):
    found = CliRunner().invoke(edge_asr, ["--state", str(state), *options, "log", *arguments])
    if isinstance(found.exception, Exception):
        raise found.exception
    return found


def call(state, *arguments, options=()):
    result = invoke(state, *arguments, options=options)
    assert result.exit_code == 0, result.output
    return result.stdout


def behind_its_back(state, statement):
    with Store.open(state) as store:
        store._database.rows(statement)


def test_a_log_that_is_whole_is_verified_with_its_head(state):
    head, recorded = call(state, "head").strip().split("\t")
    assert dt.datetime.fromisoformat(recorded).tzinfo is not None
    told = call(state, "verify", "--head", head)
    assert told == f"6 entries, 0 of them redacted or removed; head {head}\n"


def test_each_thing_that_is_wrong_is_a_line_and_the_status_is_one(state):
    behind_its_back(state, "UPDATE transcripts SET text = 'pump nine' WHERE id = 1")
    with Store.open(state) as store:
        (state / store.utterances.find(2).audio_path).unlink()
    result = CliRunner().invoke(edge_asr, ["--state", str(state), "log", "verify"])
    assert isinstance(result.exception, EdgeAsrError)
    assert "2 findings above; keep a copy of the state directory" in str(result.exception)
    changed, missing, summary = result.stdout.splitlines()
    assert changed == "entry 3 (transcripts 1): its content was changed after it was recorded"
    assert missing.startswith("utterance 2: its sound ")
    assert summary.startswith("6 entries")
    with pytest.raises(EdgeAsrError, match="1 findings"):
        call(state, "verify", "--without-sound")


def test_a_head_that_was_kept_elsewhere_finds_a_log_that_was_cut_off(state):
    head = call(state, "head").split("\t")[0]
    behind_its_back(state, "DELETE FROM chain WHERE seq = 6")
    with pytest.raises(EdgeAsrError):
        call(state, "verify", "--head", head)
    with pytest.raises(StoreError, match="'x:y' is no head; edge-asr log head prints one"):
        call(state, "verify", "--head", "x:y")


def test_a_snapshot_is_one_line_that_verifies_the_log_later(state, tmp_path):
    kept = tmp_path / "kept.json"
    kept.write_text(call(state, "snapshot"), encoding="ascii")
    assert "pump" not in kept.read_text(encoding="ascii")
    assert Snapshot(kept.read_text(encoding="ascii")).heads.endswith(
        call(state, "head").split("\t")[0]
    )
    call(state, "verify", "--snapshot", str(kept))
    behind_its_back(state, "DELETE FROM chain WHERE seq > 4")
    result = CliRunner().invoke(
        edge_asr, ["--state", str(state), "log", "verify", "--snapshot", str(kept)]
    )
    assert "its end was cut off, or the log was rewritten, after entry 4" in result.stdout
    assert result.exit_code == 1


def test_a_key_is_made_once_and_printed_again(state):
    pytest.importorskip("cryptography")
    public = call(state, "key").strip()
    assert len(bytes.fromhex(public)) == 32
    assert call(state, "key").strip() == public
    assert json.loads(call(state, "snapshot"))["public_key"] == public
    exported = call(state, "export", "--format", "chain").splitlines()
    assert json.loads(exported[-1])["end"]["public_key"] == public


def test_a_redaction_takes_the_words_and_says_why(state):
    assert call(state, "redact", "1", "--reason", "asked for") == "utterance 1 is redacted\n"
    shown = call(state, "show", "1")
    assert "pump seven" not in shown
    assert "redacted   asked for" in shown
    assert "1 of them redacted or removed" in call(state, "verify")
    with pytest.raises(StoreError, match="are gone already"):
        call(state, "redact", "1", "--reason", "again")
    with pytest.raises(StoreError, match="there is no utterance 9"):
        call(state, "redact", "9", "--reason", "no such")
    assert invoke(state, "redact", "2").exit_code == 2  # without a reason


def test_what_is_held_stays_until_it_is_released(state):
    assert call(state, "hold", "1", "2", "--reason", "accident") == "2 utterances are held\n"
    assert call(state, "hold", "1", "--reason", "twice") == "0 utterances are held\n"
    with pytest.raises(StoreError, match="edge-asr log release 1 lets go of it"):
        call(state, "redact", "1", "--reason", "asked for")
    assert call(state, "release", "1", "--reason", "closed") == "1 utterance is released\n"
    call(state, "redact", "1", "--reason", "asked for")
    assert call(state, "release", "1", "2", "--reason", "x") == "1 utterance is released\n"


def test_a_stretch_of_time_is_held_of_one_source(state):
    told = call(state, "hold", "--since", "3h", "--source", "press", "--reason", "accident")
    assert told == "2 utterances are held\n"
    told = call(state, "hold", "--since", "90m", "--reason", "accident")
    assert told == "1 utterance is held\n"
    with pytest.raises(StoreError, match="nothing was said then"):
        call(state, "hold", "--until", "3h", "--reason", "accident")


@pytest.mark.parametrize("command", ["hold", "release"])
@pytest.mark.parametrize("chosen", [[], ["1", "--since", "3h"]])
def test_utterances_are_named_or_a_stretch_of_time_but_not_both(state, command, chosen):
    result = invoke(state, command, *chosen, "--reason", "accident")
    assert result.exit_code == 2
    assert "name utterances, or a stretch of time" in result.output


def config_of(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text, encoding="ascii")
    return ("--config", str(tmp_path / "config.yaml"))


def test_pruning_removes_what_the_configuration_says(state, tmp_path):
    assert call(state, "prune") == "removed the sound of 0 utterances, 0.0 MB\n"
    options = config_of(tmp_path, "retention: {max_sound_mb: 1}\n")
    with Store.open(state) as store:
        for number in range(40):  # 32 kB of noise each
            write_down(store, say(store, "press", 16_000, seed=number))
    assert call(state, "prune", "--dry-run", options=options).startswith(
        "would begin with the sound of "
    )
    assert len(list((state / "audio").rglob("*.flac"))) == 43
    told = call(state, "prune", options=options)
    n_left = len(list((state / "audio").rglob("*.flac")))
    assert told.startswith(f"removed the sound of {43 - n_left} utterances, 0.")
    assert n_left < 43
    assert call(state, "prune", options=options) == "removed the sound of 0 utterances, 0.0 MB\n"
    assert "pump seven" in call(state, "show", "1")
    call(state, "verify")
    with pytest.raises(ConfigError):
        call(state, "prune", options=config_of(tmp_path, "retention: {max_sound_mb: -1}\n"))


def test_pruning_removes_text_that_is_older_than_it_may_be(state, tmp_path):
    options = config_of(tmp_path, "retention: {max_text_age_days: 3}\n")
    assert call(state, "prune", options=options) == "removed the sound of 0 utterances, 0.0 MB\n"
    behind_its_back(state, "UPDATE age_clock SET age_ns = 5 * 86400 * 1000000000")
    told = call(state, "prune", "--dry-run", options=options)
    assert told == "would begin with the words and the sound of 2 utterances\n"
    told = call(state, "prune", options=options)
    assert told == "removed the words and the sound of 2 utterances\n"
    assert "redacted   text older than 3 days" in call(state, "show", "1")
    assert call(state, "search", "pump") == ""
    assert "2 of them redacted or removed" in call(state, "verify")


@pytest.fixture
def listened(tmp_path):
    """Fill a store with half an hour: a gap of five minutes in it, and an utterance."""
    state = tmp_path / "listened"
    moment = clock.now()
    with Store.open(state) as store:
        start = moment.shifted(-HOUR_NS // 2)
        store.anchors.note(start)
        watch = store.watches.begin("gate", start)
        say(store, "gate", 16_000, start.shifted(60 * 10**9))
        gap = Gap(GapKind.NO_DEVICE, start.shifted(600 * 10**9), 300.0, "unplugged")
        store.gaps.add("gate", gap)
        watch.heard(moment.monotonic_ns, 25 * 60 * 16_000)
        watch.end()
    return state


def day_of(moment):
    return dt.datetime.fromtimestamp(moment.utc_ns / 1e9).astimezone().date().isoformat()


def test_the_ledger_of_a_day_adds_up_in_words_and_in_json(listened):
    totals = {}
    days = {day_of(clock.now()), day_of(clock.now().shifted(-HOUR_NS))}
    for day in days:
        (account,) = map(
            json.loads, call(listened, "ledger", "--date", day, "--format", "jsonl").splitlines()
        )
        assert account["source"] == "gate"
        assert sum(account["totals_s"].values()) + account["outside_s"] == pytest.approx(
            account["duration_s"], abs=0.01
        )
        for kind, total_s in account["totals_s"].items():
            totals[kind] = totals.get(kind, 0.0) + total_s
    assert totals["no_device"] == pytest.approx(300.0, abs=0.01)
    assert totals["speech"] == pytest.approx(1.0, abs=0.01)
    assert sum(totals.values()) == pytest.approx(1800.0, abs=1.0)
    told = "".join(call(listened, "ledger", "--date", day) for day in days)
    assert "unplugged" in told
    assert "  together" in told


def test_a_ledger_is_of_a_source_and_a_day_that_there_are(listened):
    with pytest.raises(StoreError, match="nobody ever listened to 'press'; sources: gate"):
        call(listened, "ledger", "--source", "press")
    assert "  outside      24:00:00.000" in call(
        listened, "ledger", "--date", "2020-02-01", "--source", "gate"
    )
    assert call(listened, "ledger", "--date", "2020-02-01") == ""
    result = invoke(listened, "ledger", "--date", "tomorrow")
    assert result.exit_code == 2
    assert "'tomorrow' is no day" in result.output


def test_alarms_are_listed_while_they_are_active_and_afterwards_when_asked(listened):
    quiet = invoke(listened, "alarms")
    assert (quiet.stdout, quiet.stderr) == ("", "no alarm\n")
    with Store.open(listened) as store:
        why = "unplugged\tfrom port 2"
        store.alarms.raise_alarm(AlarmCode.MIC_GONE, "gate", why, moment=clock.now())
    raised, code, source, end, detail = call(listened, "alarms").rstrip("\n").split("\t")
    assert dt.datetime.fromisoformat(raised).tzinfo is not None
    assert (code, source, end, detail) == ("MIC-GONE", "gate", "active", "unplugged from port 2")
    assert call(listened, "alarms", "--source", "press") == ""
    with Store.open(listened) as store:
        store.alarms.clear_alarm(AlarmCode.MIC_GONE, "gate", "back", moment=clock.now())
    assert call(listened, "alarms") == ""
    assert "\tcleared " in call(listened, "alarms", "--all")
    (row,) = map(
        json.loads, call(listened, "alarms", "--since", "1h", "--format", "jsonl").splitlines()
    )
    assert (row["code"], row["source"]) == ("MIC-GONE", "gate")
    assert row["cleared_utc"] is not None


COMMANDS = [
    ["verify"],
    ["head"],
    ["snapshot"],
    ["ledger"],
    ["alarms"],
    ["export", "--format", "chain"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_a_store_there_is_one_sentence(tmp_path, command):
    with pytest.raises(StoreError, match="nothing was recorded here yet"):
        call(tmp_path / "none", *command)
    assert not (tmp_path / "none").exists()
