"""``doctor`` finds what is wrong, says what to do, and changes nothing."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from edge_asr import clock
from edge_asr.alarms import AlarmCode
from edge_asr.cli.checks import services_from
from edge_asr.cli.findings import Verdict
from edge_asr.store import Store
from edge_asr.store.locks import hands_lock, listener_lock
from tests.store.speech import say, write_down

NO_MICROPHONE = "</usr/share/alsa/alsa.conf>\n"


@pytest.fixture
def doctor(program, tmp_path):
    """Return what runs ``doctor`` and returns its findings by name, and its exit status."""
    # A machine whose microphones do not matter to the outcome.
    alsa = tmp_path / "asound.conf"
    alsa.write_text(NO_MICROPHONE, encoding="ascii")

    def run(*options, **environ):
        environ.setdefault("ALSA_CONFIG_PATH", str(alsa))
        result = program.run(*options, "doctor", "--format", "json", **environ)
        assert result.stderr == ""
        report = json.loads(result.stdout)
        assert report["ok"] == (result.returncode == 0)
        found = {}
        for check in report["checks"]:
            found.setdefault(check.pop("name"), []).append(check)
        return found, result.returncode

    return run


def only(found, name):
    (check,) = found[name]
    return check["verdict"], check["sentence"], check["remedy"]


def test_versions_are_named(doctor):
    found, _ = doctor()
    assert only(found, "python")[1].startswith(f"Python {sys.version.split()[0]}")
    assert only(found, "onnxruntime")[0] == "ok"
    assert only(found, "sqlite")[0] == "ok"


def test_every_problem_and_warning_comes_with_a_remedy(doctor):
    found, _ = doctor("--config", "/missing.yaml", "--bundle", "nothing")
    for checks in found.values():
        for check in checks:
            assert bool(check["remedy"]) == (check["verdict"] != "ok")


def test_a_wrong_configuration_is_one_problem(doctor, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("vda: {}\n", encoding="ascii")
    found, status = doctor("--config", config)
    verdict, sentence, remedy = only(found, "configuration")
    assert (verdict, status) == ("problem", 1)
    assert sentence == f"{config}: line 1, column 1: unknown key 'vda'; did you mean 'vad'?"
    assert remedy
    assert "microphone" not in found


def test_a_log_that_should_be_signed_and_is_not_is_a_warning(doctor, program):
    pytest.importorskip("cryptography")
    with Store.open(program.state) as store:
        say(store)
        assert "signing" not in doctor()[0]
        assert program.run("log", "key").returncode == 0
        assert only(doctor()[0], "signing")[0] == "warning"
        store.integrity.vouching(after_entries=1, after_s=0).step()
        verdict, sentence, _ = only(doctor()[0], "signing")
        assert verdict == "ok"
        assert sentence.endswith("; 0 entries came after it.")
    (program.state / "signing.key").write_text("damaged", encoding="ascii")
    verdict, sentence, _ = only(doctor()[0], "signing")
    assert verdict == "problem"
    assert "no key" in sentence
    (program.state / "signing.key").unlink()
    assert only(doctor()[0], "signing")[0] == "warning"


def test_a_missing_microphone_is_a_problem_that_names_it(doctor):
    found, status = doctor()
    verdict, sentence, remedy = only(found, "microphone")
    assert (verdict, status) == ("problem", 1)
    assert sentence.startswith("mic: no microphone 'default'")
    assert "edge-asr devices" in remedy


def test_a_microphone_in_use_is_no_problem(doctor, program):
    with listener_lock(program.state, "mic"):
        found, _ = doctor()
    assert only(found, "microphone")[:2] == ("ok", "mic is being listened to.")


def test_a_microphone_of_each_name_is_asked_for(doctor, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "microphones:\n- {name: gate, device: card:None}\n- {name: line, device: port:9-9}\n",
        encoding="ascii",
    )
    found, _ = doctor("--config", config)
    assert [check["sentence"].split(":")[0] for check in found["microphone"]] == ["gate", "line"]


@pytest.mark.bundle
def test_whole_bundles_and_their_memory_are_reported(doctor, bundles):
    found, _ = doctor(EDGE_ASR_BUNDLES=str(bundles))
    assert [check["verdict"] for check in found["bundles"]] == ["ok", "ok"]
    assert "whisper-base takes about" in only(found, "memory")[1]


@pytest.mark.bundle
def test_a_damaged_bundle_is_a_problem_that_names_the_file(doctor, bundles, tmp_path):
    copy = tmp_path / "bundles"
    for name in ("silero-vad", "whisper-tiny.en"):
        shutil.copytree(bundles / name, copy / name)
    tokenizer = copy / "whisper-tiny.en" / "tokenizer.json"
    content = bytearray(tokenizer.read_bytes())
    content[1000] ^= 1
    tokenizer.write_bytes(content)
    found, status = doctor("--bundle", "whisper-tiny.en", EDGE_ASR_BUNDLES=str(copy))
    vad, speech = found["bundles"]
    assert (vad["verdict"], speech["verdict"], status) == ("ok", "problem", 1)
    assert speech["sentence"].startswith(f"{tokenizer}: does not match its checksum")


@pytest.mark.bundle
def test_a_bundle_that_cannot_do_what_is_configured_is_a_problem(doctor, bundles, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("recognition: {bundle: whisper-tiny.en, language: de}\n", encoding="ascii")
    found, _ = doctor("--config", config, EDGE_ASR_BUNDLES=str(bundles))
    assert found["bundles"][-1]["verdict"] == "problem"
    assert "does not know the language 'de'" in found["bundles"][-1]["sentence"]


def test_missing_bundles_are_a_problem_that_says_how_to_make_them(doctor, tmp_path):
    found, status = doctor(EDGE_ASR_BUNDLES=str(tmp_path))
    assert status == 1
    assert "python -m export silero-vad" in only(found, "bundles")[1]


def test_nothing_recorded_yet_is_no_problem_and_nothing_is_made(doctor, program):
    found, _ = doctor()
    assert only(found, "backlog")[:2] == ("ok", "Nothing was recorded yet.")
    assert only(found, "state")[0] == "ok"
    assert not program.state.exists()


def test_an_empty_store_has_no_backlog(doctor, program):
    Store.open(program.state).__exit__(None, None, None)
    found, _ = doctor()
    assert only(found, "backlog")[1] == "Nothing waits to be transcribed."


def test_utterances_that_nobody_transcribes_are_a_warning(doctor, program):
    with Store.open(program.state) as store:
        say(store)
        found, _ = doctor()
        verdict, sentence, remedy = only(found, "backlog")
        assert (verdict, remedy) == ("warning", "Start edge-asr recognize; it catches up.")
        assert sentence == "1 utterance (0 s) waits; nobody transcribes now."
        with store.recognizing():
            found, _ = doctor()
        assert only(found, "backlog")[:2] == ("ok", "1 utterance (0 s) waits.")


def test_each_active_alarm_is_told_with_its_reason_and_a_remedy(doctor, program):
    with Store.open(program.state) as store:
        raise_alarm, clear_alarm = store.alarms.raise_alarm, store.alarms.clear_alarm
        raise_alarm(AlarmCode.MIC_SILENT, "mic", "nothing but zeros", moment=clock.now())
        raise_alarm(AlarmCode.MIC_CLIPPING, "mic", "too loud", moment=clock.now())
        raise_alarm(AlarmCode.MIC_STUCK, "mic", "the same", moment=clock.now())
        clear_alarm(AlarmCode.MIC_STUCK, "mic", "well", moment=clock.now())
    found, status = doctor()
    silent, clipping = found["alarms"]
    assert (silent["verdict"], clipping["verdict"], status) == ("problem", "warning", 1)
    assert silent["sentence"].startswith("mic: MIC-SILENT since 20")
    assert silent["sentence"].endswith(": nothing but zeros.")
    assert "edge-asr levels" in silent["remedy"]


def test_a_database_that_is_none_is_a_problem(doctor, program):
    program.state.mkdir()
    (program.state / "log.sqlite3").write_bytes(b"this is no database" * 100)
    found, status = doctor()
    assert (only(found, "backlog")[0], status) == ("problem", 1)


def test_a_damaged_database_is_told_of_and_repaired_on_request(doctor, program):
    with Store.open(program.state) as store:
        write_down(store, say(store))
    assert program.run("log", "repair").stdout == "the database is whole\n"
    (program.state / "log.sqlite3").write_bytes(b"a letter, and no database" * 400)
    found, status = doctor()
    assert status == 1
    assert only(found, "log")[1] == "The database is damaged: file is not a database."
    verified = program.run("log", "verify")
    assert verified.returncode == 1
    assert "damaged, or not a database" in verified.stderr
    repaired = program.run("log", "repair")
    assert repaired.returncode == 0, repaired.stderr
    assert "1 utterances were taken in from their sound" in repaired.stdout
    verdict, sentence, remedy = only(doctor()[0], "alarms")
    assert verdict == "warning"
    assert "LOG-DAMAGED" in sentence
    assert "edge-asr log repair" in remedy
    assert "is cleared" in program.run("log", "repair").stdout
    assert only(doctor()[0], "alarms")[1] == "No alarm is active."


def test_what_root_repairs_in_a_users_store_belongs_to_that_user(program):
    nobody = 65534
    Store.open(program.state).__exit__(None, None, None)
    (program.state / "log.sqlite3").write_bytes(b"a letter, and no database" * 400)
    for path in (program.state, *program.state.rglob("*")):
        os.chown(path, nobody, nobody)
    assert program.run("log", "repair").returncode == 0
    assert {path.stat().st_uid for path in program.state.rglob("*")} == {nobody}


def test_a_repair_where_nothing_was_recorded_is_one_sentence(program):
    result = program.run("log", "repair")
    assert result.returncode == 1
    assert "nothing was recorded here yet" in result.stderr
    assert not program.state.exists()


def test_a_state_directory_that_is_a_file_is_a_problem(doctor, program):
    program.state.write_text("", encoding="ascii")
    found, status = doctor()
    assert (only(found, "state")[0], status) == ("problem", 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may become somebody else")
def test_a_state_directory_of_somebody_else_is_a_problem(program):
    program.state.mkdir()
    # Root may write anywhere; without its capabilities it is only a user.
    unprivileged = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
    if subprocess.run([*unprivileged, "true"], capture_output=True, check=False).returncode:
        pytest.skip("setpriv cannot drop capabilities here")
    os.chown(program.state, 65534, 65534)
    program.state.chmod(0o755)
    result = program.run("doctor", "--format", "json", wrap=unprivileged)
    (state,) = [c for c in json.loads(result.stdout)["checks"] if c["name"] == "state"]
    assert state["verdict"] == "problem"
    assert state["sentence"] == f"{program.state} cannot be written."


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")
def test_a_full_disk_is_a_problem_and_a_filling_one_a_warning(program):
    program.state.mkdir()
    for size, verdict in (("32m", "problem"), ("256m", "warning")):
        mounted = ("unshare", "--mount", "bash", "-c",
                   'mount -t tmpfs -o "size=$1" tmpfs "$2" && shift 2 && "$@"',
                   "bash", size, program.state)  # fmt: skip
        result = program.run("doctor", "--format", "json", wrap=mounted)
        if "mount" in result.stderr:
            pytest.skip("this machine allows no mounts")
        (disk,) = [c for c in json.loads(result.stdout)["checks"] if c["name"] == "disk"]
        assert disk["verdict"] == verdict


def test_words_and_json_say_the_same(program):
    words = program.run("doctor")
    report = json.loads(program.run("doctor", "--format", "json").stdout)
    assert words.returncode == (0 if report["ok"] else 1)
    for check in report["checks"]:
        if check["name"] not in {"memory", "disk"}:  # these change between two calls
            assert check["sentence"] in words.stdout
    lines = program.run("doctor", "--format", "jsonl").stdout.splitlines()
    names = [json.loads(line)["name"] for line in lines]
    assert names == [check["name"] for check in report["checks"]]
    assert words.stdout.rstrip().endswith(".")
    assert "Traceback" not in words.stderr


def test_buttons_that_nobody_looks_after_are_a_warning_and_a_wrong_key_a_problem(
    doctor, program, tmp_path
):
    config = tmp_path / "hands.yaml"
    config.write_text(f"hands: {{file: {tmp_path / 'shown'}}}\n", encoding="utf-8")
    verdict, sentence, remedy = only(doctor("--config", config)[0], "hands")
    assert verdict == "warning"
    assert "nobody looks after them" in sentence
    assert "edge-asr hands" in remedy
    with hands_lock(program.state):
        assert only(doctor("--config", config)[0], "hands")[0] == "ok"
    pytest.importorskip("evdev")
    config.write_text("hands: {key: KEY_NONSENSE}\n", encoding="utf-8")
    verdict, sentence, _ = only(doctor("--config", config)[0], "hands")
    assert verdict == "problem"
    assert "Linux knows no key 'KEY_NONSENSE'" in sentence


def test_a_service_that_fails_is_a_problem():
    shown = (
        "Id=edge-asr-recognize.service\nActiveState=active\nNRestarts=0\n\n"
        "Id=edge-asr-listen@mic.service\nActiveState=activating\nNRestarts=7\n\n"
        "Id=edge-asr-listen@gate.service\nActiveState=active\nNRestarts=2\n"
    )
    fine, failing, restarted = services_from(shown)
    assert fine.verdict is Verdict.OK
    assert failing.verdict is Verdict.PROBLEM
    assert failing.remedy == "journalctl -u edge-asr-listen@mic.service says why."
    assert restarted.verdict is Verdict.WARNING
    assert "2 times" in restarted.sentence


def test_a_service_that_a_socket_or_a_timer_starts_may_be_inactive_but_not_failed():
    shown = (
        "Id=edge-asr-serve.service\nActiveState=inactive\nNRestarts=0\n"
        "TriggeredBy=edge-asr-serve.socket\n\n"
        "Id=edge-asr-metrics.service\nActiveState=failed\nNRestarts=0\n"
        "TriggeredBy=edge-asr-metrics.timer\n\n"
        "Id=edge-asr-recognize.service\nActiveState=inactive\nNRestarts=0\nTriggeredBy=\n"
    )
    waiting, failed, ended = services_from(shown)
    assert waiting.verdict is Verdict.OK
    assert waiting.sentence.endswith("starts when edge-asr-serve.socket says so.")
    assert failed.verdict is ended.verdict is Verdict.PROBLEM


def test_no_service_started_is_no_problem():
    (finding,) = services_from("")
    assert finding.verdict is Verdict.OK


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks at other users' stores")
def test_what_root_leaves_in_a_users_store_belongs_to_that_user(doctor, program):
    """SQLite makes two files beside a database that it reads; the owner needs them, too."""
    nobody = 65534
    Store.open(program.state).__exit__(None, None, None)
    for path in (program.state, *program.state.rglob("*")):
        os.chown(path, nobody, nobody)
    before = (program.state / "log.sqlite3").stat().st_mtime_ns
    doctor()
    left = {path.name: path.stat().st_uid for path in program.state.rglob("*")}
    assert set(left) <= {"log.sqlite3", "log.sqlite3-shm", "log.sqlite3-wal"}
    assert set(left.values()) == {nobody}
    assert (program.state / "log.sqlite3").stat().st_mtime_ns == before
