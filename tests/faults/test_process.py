"""Processes that stall, run out of memory, are told to stop again and again, or meet each other."""

import os
import shutil
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.faults.board import is_whole, lost_and_doubled, rows
from tests.preloading import compiled

pytestmark = [pytest.mark.faults, pytest.mark.bundle, pytest.mark.timeout(0)]

WATCHDOG_S = 2.0
HANG = Path(__file__).parent / "hang.c"


def pings(bell, duration_s):
    """Return how many pings came within so many seconds."""
    end_s = time.monotonic() + duration_s
    n_pings = 0
    while (left_s := end_s - time.monotonic()) > 0:
        bell.settimeout(left_s)
        try:
            n_pings += b"WATCHDOG=1" in bell.recv(4096)
        except TimeoutError:
            break
    return n_pings


@pytest.fixture
def manager(sound_directory):
    """Return what hears a service's notifications, as systemd does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as bell:
        bell.bind(str(sound_directory / "notify"))
        yield bell, str(sound_directory / "notify")


def test_a_stalled_recognizer_falls_silent_and_is_replaced(board, brief, manager, tally, times):
    row = tally("recognizer stalled (SIGSTOP): the watchdog aborts it, the next one goes on")
    bell, address = manager
    assert board.listen("--wav", brief, "--fast").join() == 0
    variables = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
    processes = []
    for _ in range(times(1, 20)):
        process = board.recognize(**variables)
        while b"READY=1" not in bell.recv(4096):
            pass
        process.signal(signal.SIGSTOP)
        pings(bell, 0.3)  # those that were on their way
        assert pings(bell, WATCHDOG_S) == 0
        process.signal(signal.SIGABRT)
        process.signal(signal.SIGCONT)
        assert process.join() == -signal.SIGABRT
        processes.append(process)
        row.injected += 1
        began_s = time.monotonic()
        again = board.recognize(**variables)
        while b"READY=1" not in bell.recv(4096):
            pass
        row.recovered_s.append(time.monotonic() - began_s)
        again.stop()
        processes.append(again)
    board.finish()
    row.lost, row.doubled = lost_and_doubled(board.state, processes)
    assert all(len(found.texts) == 1 for found in rows(board.state))
    assert (row.lost, row.doubled) == (0, 0)


def test_a_listener_whose_storing_hangs_falls_silent_and_is_replaced(
    board, demo, manager, tmp_path, tally, times
):
    row = tally("a synchronisation that never returns: the watchdog aborts the listener")
    bell, address = manager
    hang = tmp_path / "hang"
    variables = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
    preload = {"LD_PRELOAD": str(compiled(HANG, tmp_path)), "HANG_WHILE": str(hang)}
    processes = []
    for _ in range(times(1, 20)):
        process = board.listen("--wav", demo, **variables, **preload)
        process.wait_for(lambda event: event["event"] == "utterance")
        assert pings(bell, WATCHDOG_S)
        hang.touch()
        pings(bell, WATCHDOG_S)  # until it next synchronises, and those that were on their way
        assert pings(bell, WATCHDOG_S) == 0
        process.signal(signal.SIGABRT)
        assert process.join() == -signal.SIGABRT
        hang.unlink()
        processes.append(process)
        row.injected += 1
        began_s = time.monotonic()
        again = board.listen("--wav", demo, **variables)
        heard_s, _ = again.wait_for(lambda event: event["event"] == "level")
        row.recovered_s.append(heard_s - began_s)
        assert again.stop() == 0
        processes.append(again)
    board.finish()
    row.lost, row.doubled = lost_and_doubled(board.state, processes)
    is_whole(board.state)
    assert (row.lost, row.doubled) == (0, 0)


@pytest.mark.usefixtures("whole_form")
def test_a_recognizer_without_memory_costs_only_time(board, brief, tally, times):
    if shutil.which("prlimit") is None:
        pytest.skip("prlimit (util-linux) is not installed")
    row = tally("memory limit hit by the recognizer (address space)")
    assert board.listen("--wav", brief, "--fast").join() == 0
    limits_mb = times(2, 8)
    for i in range(limits_mb):
        wrap = ("prlimit", f"--as={(300 + 150 * i) << 20}")
        result = board.run("recognize", "--until-idle", wrap=wrap)
        row.injected += result.returncode != 0
    assert row.injected
    listening = board.listen("--wav", brief, "--fast")
    assert listening.join() == 0  # the listener does not care
    # What failed too often for want of memory was not its own fault: it can be asked for again.
    result = board.run("recognize", "--until-idle")
    row.lost = sum(not found.texts for found in rows(board.state))
    row.seen = f"{sum(bool(f.texts) for f in rows(board.state))} utterances transcribed afterwards"
    assert row.lost == 0, result.stderr


CGROUPS = Path("/sys/fs/cgroup")
LIMITS = {"memory.max": CGROUPS, "memory.limit_in_bytes": CGROUPS / "memory"}
"""File that holds the limit -> where groups are made: the unified hierarchy, and the older one."""


@pytest.fixture
def control_group():
    """Return what makes a control group with a limit on its memory, and what joins it."""
    made = []

    def limited_to(n_bytes):
        for limit, root in LIMITS.items():
            group = root / f"edge-asr-test-{os.getpid()}-{len(made)}"
            try:
                group.mkdir()
            except OSError:
                continue
            made.append(group)
            if (group / limit).exists():
                (group / limit).write_text(str(n_bytes))
                script = 'echo $$ > "$0"/cgroup.procs && exec "$@"'
                return ("sh", "-c", script, str(group))
        pytest.skip("no control group with a limit on memory can be made here")

    yield limited_to
    for group in made:
        group.rmdir()


def test_a_recognizer_that_the_kernel_kills_for_its_memory_costs_only_time(
    board, brief, control_group, tally, times
):
    row = tally("memory limit of a control group hit by the recognizer: killed by the kernel")
    assert board.listen("--wav", brief, "--fast").join() == 0
    # Less than it takes to load: where it is killed at an utterance, quarantine has its say.
    wrap = control_group(70 << 20)
    for _ in range(times(1, 10)):
        process = board.recognize("--until-idle", wrap=wrap)
        assert process.join() == -signal.SIGKILL
        row.injected += 1
    assert "nobody transcribes" in " ".join(board.doctor()["backlog"])
    assert board.listen("--wav", brief, "--fast").join() == 0  # the listener does not care
    board.finish()
    row.lost = sum(not found.texts for found in rows(board.state))
    row.seen = f"{len(rows(board.state))} utterances transcribed afterwards"
    assert row.lost == 0


def test_a_storm_of_signals_ends_in_good_order(board, demo, tally, times):
    row = tally("SIGTERM, SIGINT and SIGHUP, thirty at once, while listening")
    processes = []
    for i in range(times(2, 30)):
        process = board.listen("--wav", demo)
        process.wait_for(lambda event: event["event"] == "level" and event["speaking"])
        time.sleep(0.3 + 0.1 * (i % 10))
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT) * 10:
            if process.popen.poll() is None:
                os.kill(process.pid, number)
        began_s = time.monotonic()
        assert process.join(30) == 0, board.said_on_stderr()
        row.recovered_s.append(time.monotonic() - began_s)
        row.injected += 1
        processes.append(process)
        assert list((board.state / "open").iterdir()) == []  # what was being spoken is closed
    board.finish()
    row.lost, row.doubled = lost_and_doubled(board.state, processes)
    is_whole(board.state)
    assert len(rows(board.state)) >= row.injected
    assert "Traceback" not in board.said_on_stderr()
    assert (row.lost, row.doubled) == (0, 0)


def test_a_second_listener_or_recognizer_is_refused_in_a_sentence(board, demo, tally):
    row = tally("a second listener or recognizer on the same store")
    first = board.listen("--wav", demo)
    first.wait_for(lambda event: event["event"] == "level")
    other = board.recognize()
    time.sleep(3.0)
    for command in (("listen", "--wav", demo, "--fast"), ("recognize", "--until-idle")):
        result = board.run(*command)
        row.injected += 1
        assert result.returncode == 1
        assert "stop that one first" in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert first.stop() == 0
    assert other.stop() == 0
    row.lost, row.doubled = lost_and_doubled(board.state, [first, other])
    assert (row.lost, row.doubled) == (0, 0)


@pytest.mark.usefixtures("whole_form")
def test_sound_that_is_deleted_is_told_and_the_rest_goes_on(board, brief, tally):
    row = tally("a sound file deleted before it was transcribed")
    assert board.listen("--wav", brief, "--fast").join() == 0
    [gone, *others] = rows(board.state)
    (board.state / gone.audio_path).unlink()
    row.injected = 1
    for _ in range(3):
        result = board.run("recognize", "--until-idle")
        assert "Traceback" not in result.stderr
    assert (
        gone.audio_path in result.stderr or "quarantine" in result.stderr or not result.returncode
    )
    by_id = {found.utterance_id: found for found in rows(board.state)}
    row.lost = sum(not by_id[found.utterance_id].texts for found in others)
    findings = board.doctor()
    assert "failed too often" in " ".join(findings["backlog"])
    assert board.run("log", "verify").returncode == 1
    row.seen = "the others were transcribed; doctor and log verify tell of it"
    assert row.lost == 0


@pytest.mark.usefixtures("whole_form")
def test_a_state_directory_that_is_moved_away_is_told_and_kept(board, demo, tally):
    row = tally("state directory renamed while listening, and put back later")
    process = board.listen("--wav", demo)
    told_s, _ = process.wait_for(lambda event: event["event"] == "utterance")
    process.wait_for(lambda event: event["event"] == "level" and event["speaking"], since_s=told_s)
    elsewhere = board.directory / "elsewhere"
    board.state.rename(elsewhere)
    row.injected = 1
    assert process.join(30) == 1
    assert "moved, removed or replaced while it was open" in board.said_on_stderr()
    assert "Traceback" not in board.said_on_stderr()
    shutil.rmtree(board.state, ignore_errors=True)  # what a new start would have made
    elsewhere.rename(board.state)
    assert board.listen("--wav", demo, "--fast").join() == 0
    board.finish()
    row.lost, row.doubled = lost_and_doubled(board.state, [process])
    is_whole(board.state)
    # What was being spoken when it went is there, too: its open file went along.
    assert "recovered" in {found.end_reason for found in rows(board.state)}
    row.seen = "the listener says so and ends; put back, nothing is missing"
    assert (row.lost, row.doubled) == (0, 0)
