"""A real listener, killed and started again, its microphone unplugged: the ledger knows."""

import json
import signal
import time

import pytest

from edge_asr.store import Store

pytestmark = [pytest.mark.bundle, pytest.mark.microphone, pytest.mark.usefixtures("bundles")]

CONFIG = "liveness: {silent_after_s: 2.0}\n"


@pytest.fixture
def start(program, virtual_microphone, tmp_path):
    """Return what starts to listen; it returns the process and what waits for its events."""
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG, encoding="ascii")
    begun = []

    def begin():
        process = program.start(
            "--config", str(config), "listen", "--format", "jsonl", **virtual_microphone.variables
        )
        begun.append(process)

        def wait_for(**wanted):
            for line in process.stdout:
                event = json.loads(line)
                if wanted.items() <= event.items():
                    return event
            raise AssertionError(f"it ended before it said {wanted}: {process.stderr.read()}")

        return process, wait_for

    yield begin
    for process in begun:
        process.kill()
        process.communicate()


def ledger(program):
    """Return the account of yesterday and today, in case of midnight."""
    totals, gaps = {}, []
    for day in ("yesterday", "today"):
        result = program.run("log", "ledger", "--date", day, "--format", "jsonl")
        for line in result.stdout.splitlines():
            account = json.loads(line)
            inside_s = sum(account["totals_s"].values())
            assert inside_s + account["outside_s"] == pytest.approx(account["duration_s"], abs=0.01)
            for kind, total_s in account["totals_s"].items():
                totals[kind] = totals.get(kind, 0.0) + total_s
            gaps += account["gaps"]
    return totals, gaps


def test_every_second_of_a_killed_listener_is_accounted_for(
    program, start, sample, virtual_microphone
):
    began = time.monotonic()
    process, wait_for = start()
    wait_for(event="level")
    player = virtual_microphone.play(sample / "demo.flac")
    wait_for(event="utterance")
    process.send_signal(signal.SIGKILL)
    process.wait()
    player.kill()
    player.wait()
    time.sleep(3.0)
    process, wait_for = start()
    wait_for(event="level")
    time.sleep(2.0)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 0
    elapsed_s = time.monotonic() - began

    totals, gaps = ledger(program)
    # All but the start and the end of Python itself.
    assert elapsed_s - 8 < sum(totals.values()) <= elapsed_s
    assert totals["not_running"] >= 3.0
    assert "the listener or the power died" in {gap["detail"] for gap in gaps}
    assert {gap["detail"] for gap in gaps if gap["kind"] == "no_device"} <= {"opening it"}
    with Store.open(program.state, readonly=True) as store:
        [(n_samples,)] = store._database.rows("SELECT total(n_samples) FROM utterances")
        frames = store._database.rows("SELECT n_samples, reason FROM watch_ends ORDER BY id")
    assert totals["speech"] == pytest.approx(n_samples / 16_000, abs=0.01)
    # The frames that were counted are the time that was heard.
    heard_s = frames[-1][0] / 16_000
    assert frames[-1][1] == "stopped"
    assert 1.5 < heard_s < 8


def test_a_microphone_in_trouble_raises_alarms_and_clears_them(
    program, start, sample, virtual_microphone
):
    process, wait_for = start()
    raised = wait_for(event="alarm", code="MIC-SILENT", state="raised")
    assert "digital zeros" in raised["detail"]
    told = program.run("log", "alarms").stdout
    assert "MIC-SILENT\tmic\tactive" in told
    player = virtual_microphone.play(sample / "demo.flac")
    wait_for(event="alarm", code="MIC-SILENT", state="cleared")
    player.kill()
    player.wait()
    virtual_microphone.unplug()
    wait_for(event="alarm", code="MIC-GONE", state="raised")
    virtual_microphone.plug()
    wait_for(event="alarm", code="MIC-GONE", state="cleared")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert program.run("log", "alarms").stdout == ""
    told = [json.loads(line) for line in program.run(
        "log", "alarms", "--all", "--format", "jsonl").stdout.splitlines()]  # fmt: skip
    assert [alarm["code"] for alarm in told][:2] == ["MIC-SILENT", "MIC-GONE"]
    assert all(alarm["cleared_utc"] for alarm in told)
    totals, gaps = ledger(program)
    assert totals["no_device"] > 3
    assert any(gap["kind"] == "no_device" and "opening" not in gap["detail"] for gap in gaps)
