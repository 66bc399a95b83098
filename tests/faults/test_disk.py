"""The disk is full, slow or failing: sound waits in memory, and all of it is stored."""

import os
import shutil
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest

from tests.faults.board import is_whole, lost_and_doubled, rows, sound_of

pytestmark = [pytest.mark.faults, pytest.mark.bundle, pytest.mark.timeout(0)]


@pytest.fixture
def mounted():
    """Return what mounts something, and unmounts it when the test is over."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    places = []

    def mount(*arguments, place):
        place.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["mount", *map(str, arguments), str(place)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            pytest.skip(f"this machine does not mount: {done.stderr.strip()}")
        places.append(place)

    yield mount
    for place in reversed(places):
        subprocess.run(["umount", "--lazy", str(place)], check=False)


@pytest.fixture(scope="module")
def whole(bundles, brief, tmp_path_factory):  # noqa: ARG001 (no processes without models)
    """Return the sounds of the clip when nothing happens."""
    from tests.faults.board import Board

    board = Board(tmp_path_factory.mktemp("whole"))
    assert board.listen("--wav", brief, "--fast").join() == 0
    return [sound_of(board.state, row) for row in rows(board.state)]


def missing(state, whole):
    """Return how many of the clip's sounds are not stored as they were, and how many twice."""
    stored = [sound_of(state, row) for row in rows(state)]
    counts = [sum(np.array_equal(sound, other) for other in stored) for sound in whole]
    return counts.count(0), sum(count > 1 for count in counts)


def hear_through(board, brief, fill, release, row):
    """Listen at the pace of speech, with a disk that refuses from the 2nd to the 8th second."""
    process = board.listen("--wav", brief)
    process.wait_for(lambda event: event["event"] == "level")
    time.sleep(2.0)
    fill()
    process.wait_for(
        lambda event: event.get("code") == "DISK-REFUSES" and event.get("active", True)
    )
    time.sleep(4.0)
    findings = board.doctor()
    assert findings.keys() & {"disk", "state", "alarms", "backlog"}, findings
    release()
    freed_s = time.monotonic()
    told_s, _ = process.wait_for(
        lambda event: event["event"] == "utterance" or event.get("code") == "DISK-REFUSES",
        since_s=freed_s,
    )
    row.recovered_s.append(told_s - freed_s)
    row.injected += 1
    assert process.join() == 0, board.said_on_stderr()


def test_a_full_disk_loses_nothing(boards, brief, whole, mounted, tally, times):
    row = tally("disk full (a small file system), 4 s and more, while listening")
    for i in range(times(1, 10)):
        board = boards(f"full-{i}")
        mounted("-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", place=board.state)
        ballast = board.state / "ballast"

        hear_through(board, brief, partial(fill, ballast), ballast.unlink, row)
        lost, doubled = missing(board.state, whole)
        row.lost, row.doubled = row.lost + lost, row.doubled + doubled
        board.finish()
        is_whole(board.state)
    assert (row.lost, row.doubled) == (0, 0)


def fill(path):
    """Take all the room there is."""
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass


def says_the_disk_refuses(event):
    return event.get("code") == "DISK-REFUSES" and event["state"] == "raised"


def says_the_disk_takes(event):
    return event.get("code") == "DISK-REFUSES" and event["state"] == "cleared"


@pytest.mark.parametrize("is_new", [True, False], ids=["new store", "old store"])
def test_a_start_on_a_full_disk_is_a_state(boards, brief, mounted, tally, is_new):
    """Neither process ends, and both go on by themselves when there is room."""
    row = tally(f"listen and recognize started on a full disk ({'new' if is_new else 'old'} store)")
    board = boards("full")
    mounted("-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", place=board.state)
    if not is_new:
        assert board.listen("--wav", brief, "--fast").join() == 0
        board.finish()
    before = len(rows(board.state)) if not is_new else 0
    ballast = board.state / "ballast"
    fill(ballast)
    processes = [board.recognize(), board.listen("--wav", brief)]
    waiting = processes if is_new else processes[1:]  # a recognizer may have nothing to write
    for process in waiting:
        process.wait_for(says_the_disk_refuses)
    assert "disk" in board.doctor()
    time.sleep(3.0)  # more than one try
    assert all(process.popen.poll() is None for process in processes)
    ballast.unlink()
    freed_s = time.monotonic()
    for process in waiting:
        at_s, _ = process.wait_for(says_the_disk_takes)
        row.recovered_s.append(at_s - freed_s)
        row.injected += 1
    processes[1].wait_for(lambda event: event["event"] == "utterance")
    processes[0].wait_for(lambda event: event["event"] == "transcript")
    assert processes[1].join() == 0
    assert processes[0].stop() == 0
    assert "Traceback" not in board.said_on_stderr()
    assert len(rows(board.state)) == before + 3
    told = board.run("log", "alarms", "--all").stdout
    assert "DISK-REFUSES" in told
    board.finish()
    is_whole(board.state)


def test_a_start_on_a_full_disk_hears_at_once_where_there_was_a_reserve(
    boards, brief, whole, mounted, tally
):
    row = tally("listen started on a full disk, with the reserve of an earlier start")
    board = boards("full")
    mounted("-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs", place=board.state)
    assert board.listen("--wav", brief, "--fast").join() == 0
    assert (board.state / "reserve").stat().st_size > 0
    fill(board.state / "ballast")
    listening = board.listen("--wav", brief)
    listening.wait_for(lambda event: event["event"] == "level")
    assert not (board.state / "reserve").exists()
    fill(board.state / "more ballast")  # others take what is left of it
    listening.wait_for(says_the_disk_refuses)
    time.sleep(3.0)
    for ballast in board.state.glob("*ballast"):
        ballast.unlink()
    freed_s = time.monotonic()
    told_s, _ = listening.wait_for(says_the_disk_takes)
    row.recovered_s.append(told_s - freed_s)
    row.injected = 1
    assert listening.join() == 0, board.said_on_stderr()
    stored = [sound_of(board.state, found) for found in rows(board.state)]
    counts = [sum(np.array_equal(sound, other) for other in stored) for sound in whole]
    row.lost = sum(max(0, 2 - n) for n in counts)  # heard twice: with room, and without
    assert row.lost == 0, counts
    board.finish()
    assert (board.state / "reserve").exists()  # the next start laid it up again
    is_whole(board.state)


@pytest.mark.usefixtures("whole_form")
def test_a_full_disk_holds_a_transcript_back_and_loses_none(boards, brief, mounted, tally):
    row = tally("disk full while transcribing")
    board = boards("full")
    mounted("-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs", place=board.state)
    assert board.listen("--wav", brief, "--fast").join() == 0
    n = len(rows(board.state))
    recognizing = board.recognize()
    recognizing.wait_for(lambda event: event["event"] == "transcript")
    fill(board.state / "ballast")
    assert board.run("log", "tail").returncode == 0
    listening = board.listen("--wav", brief)
    listening.wait_for(says_the_disk_refuses)
    time.sleep(2.0)
    (board.state / "ballast").unlink()
    row.injected = 1
    assert listening.join() == 0
    assert recognizing.stop() == 0
    board.finish()
    stored = rows(board.state)
    assert len(stored) == 2 * n
    assert all(len(found.texts) == 1 for found in stored)
    is_whole(board.state)


@pytest.mark.usefixtures("whole_form")
def test_a_full_table_of_inodes_loses_nothing(boards, brief, whole, mounted, tally, times):
    row = tally("no inode left, while listening")
    for i in range(times(1, 3)):
        board = boards(f"inodes-{i}")
        mounted("-t", "tmpfs", "-o", "nr_inodes=60,mode=700", "tmpfs", place=board.state)
        names = [board.state / f"ballast-{n}" for n in range(60)]

        def fill(names=names):
            for name in names:
                try:
                    name.touch()
                except OSError:
                    break

        def release(names=names):
            for name in names:
                name.unlink(missing_ok=True)

        hear_through(board, brief, fill, release, row)
        lost, doubled = missing(board.state, whole)
        row.lost, row.doubled = row.lost + lost, row.doubled + doubled
        board.finish()
        is_whole(board.state)
    assert (row.lost, row.doubled) == (0, 0)


@pytest.fixture
def card(mounted, tmp_path):
    """Return what mounts a small ext4 of its own at a place, as often as one likes."""
    image = tmp_path / "card.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    subprocess.run(["mkfs.ext4", "-q", image], check=True)

    def insert(place):
        subprocess.run(["fsck.ext4", "-p", image], capture_output=True, check=False)
        mounted("-o", "loop", image, place=place)

    return insert


def test_a_file_system_that_turns_read_only_keeps_all_that_was_told(board, demo, card, tally):
    """As ext4 does when its card fails; it takes nothing more until it was checked."""
    row = tally("the file system aborts and turns read-only while listening (ext4)")
    card(board.state)
    listening = board.listen("--wav", demo)
    recognizing = board.recognize()
    told_s, _ = recognizing.wait_for(lambda event: event["event"] == "transcript")
    listening.wait_for(lambda e: e["event"] == "level" and e["speaking"], since_s=told_s)
    time.sleep(1.0)
    subprocess.run(["mount", "-o", "remount,abort", board.state], check=True)
    row.injected = 1
    listening.wait_for(lambda event: event.get("code") == "DISK-REFUSES")
    findings = board.doctor()
    assert "Read-only file system" in str(findings["state"]), findings
    statuses = [listening.stop(), recognizing.stop()]
    assert "Traceback" not in board.said_on_stderr()
    assert -11 not in statuses
    subprocess.run(["umount", board.state], check=True)
    began_s = time.monotonic()
    card(board.state)
    again = board.listen("--wav", demo, "--fast")
    assert again.join() == 0, board.said_on_stderr()
    row.recovered_s.append(time.monotonic() - began_s)
    board.finish()
    row.lost, row.doubled = lost_and_doubled(board.state, [listening, recognizing, again])
    is_whole(board.state)
    reasons = [found.end_reason for found in rows(board.state)]
    row.seen = f"DISK-REFUSES, told by doctor; recovered: {reasons.count('recovered')}"
    assert (row.lost, row.doubled) == (0, 0)


INJECTIONS = (
    "fsync,fdatasync:error=EIO:when=12+9",
    "fsync,fdatasync:error=ENOSPC:when=15+11",
    "pwrite64:error=ENOSPC:when=60+23",
    "pwrite64:error=EIO:when=70+31",
    "write:error=ENOSPC:when=20+7",
    "ftruncate,rename:error=EIO:when=3+4",
    "fdatasync:delay_enter=300000",
)
"""Errors of system calls, from the n-th on, each so many calls."""


@pytest.mark.usefixtures("whole_form")
def test_calls_that_fail_lose_nothing(boards, brief, whole, tally, times):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    row = tally("EIO, ENOSPC or 0.3 s of delay injected into writes and syncs")
    chosen = INJECTIONS[: times(3, len(INJECTIONS))]

    def hear(numbered):
        number, injection = numbered
        board = boards(f"inject-{number}")
        assert board.listen("--wav", brief, "--fast").join() == 0  # the database is made
        traced = board.directory / "trace"
        calls = injection.split(":", maxsplit=1)[0]
        wrap = ("strace", "-f", "-qq", "--seccomp-bpf", "-o", str(traced))
        wrap += ("-e", f"trace={calls}", "-e", f"inject={injection}")
        began_s = time.monotonic()
        status = board.listen("--wav", brief, wrap=wrap).join()
        if status:  # systemd starts it again
            assert "Traceback" not in board.said_on_stderr()
            assert board.listen("--wav", brief, "--fast").join() == 0
        took_s = time.monotonic() - began_s
        n_injected = traced.read_text(errors="replace").count("(INJECTED)")
        n_injected += traced.read_text(errors="replace").count("(DELAYED)")
        board.finish()
        is_whole(board.state)
        # Heard twice: before anything failed, and while it did.
        stored = [sound_of(board.state, r) for r in rows(board.state)]
        counts = [sum(np.array_equal(sound, other) for other in stored) for sound in whole]
        return n_injected, sum(max(0, 2 - n) for n in counts), status, took_s

    with ThreadPoolExecutor(3) as pool:
        results = list(pool.map(hear, enumerate(chosen)))
    row.injected = sum(n for n, *_ in results)
    row.lost = sum(lost for _, lost, *_ in results)
    n_again = sum(bool(status) for *_, status, _ in results)
    row.seen = f"{len(chosen)} kinds; listeners that had to start again: {n_again}"
    assert all(n for n, *_ in results), results
    assert row.lost == 0, results
