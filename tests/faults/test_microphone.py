"""The microphone goes, comes back, is silent, shouts: every second of it is accounted for."""

import json
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.faults.board import is_whole
from tests.virtual_microphone import WAKES_AFTER_S

pytestmark = [
    pytest.mark.faults,
    pytest.mark.bundle,
    pytest.mark.microphone,
    pytest.mark.timeout(0),
]

LIVENESS = "liveness: {silent_after_s: 2.0}\n"
GREEDY = "microphones: [{sample_rate: 192000, channel: 7}]\n"
"""So many channels at such a rate fill the sound server's buffer in two seconds; at 16 kHz it holds
minutes, and nothing is lost."""


def is_hearing(event):
    return event["event"] == "status" and event["state"] == "hearing"


def is_gone(event):
    return event["event"] == "status" and event["state"] == "no_device"


@pytest.fixture
def hearing(request, board, virtual_microphone):
    """Return a board with a listener that hears the virtual microphone, and since when."""
    config = board.directory / "config.yaml"
    config.write_text(getattr(request, "param", LIVENESS), encoding="ascii")
    board.environ.update(virtual_microphone.variables)
    board.options += ["--config", str(config)]
    process = board.listen()
    process.wait_for(lambda event: event["event"] == "level")
    return board, process, time.monotonic()


def accounted(board):
    """Return seconds of each kind in the ledger of yesterday and today; it must add up."""
    totals = {}
    for day in ("yesterday", "today"):
        result = board.run("log", "ledger", "--date", day, "--format", "jsonl")
        assert result.returncode == 0, result.stderr
        for account in map(json.loads, result.stdout.splitlines()):
            inside_s = sum(account["totals_s"].values())
            assert abs(inside_s + account["outside_s"] - account["duration_s"]) < 0.01
            for kind, total_s in account["totals_s"].items():
                totals[kind] = totals.get(kind, 0.0) + total_s
    return totals


def finish(board, process, began_s):
    """Stop listening; the ledger has every second of it."""
    elapsed_s = time.monotonic() - began_s
    assert process.stop() == 0, board.said_on_stderr()
    totals = accounted(board)
    assert elapsed_s - 1.0 < sum(totals.values()) < elapsed_s + 6.0, (elapsed_s, totals)
    assert "Traceback" not in board.said_on_stderr()
    is_whole(board.state)
    return totals


def lose_and_regain(process, lose, regain, row, n):
    for i in range(n):
        lost_s = time.monotonic()
        lose()
        process.wait_for(is_gone, since_s=lost_s)
        time.sleep(1.0 + 0.3 * (i % 5))
        back_s = time.monotonic()
        regain()
        heard_s, _ = process.wait_for(is_hearing, since_s=back_s)
        row.recovered_s.append(heard_s - back_s)
        row.injected += 1
        time.sleep(1.0)


def test_a_microphone_that_goes_and_comes_back(hearing, virtual_microphone, tally, times):
    board, process, began_s = hearing
    row = tally("microphone unplugged and plugged in again (module unloaded)")
    virtual_microphone.unplug()
    process.wait_for(lambda event: event.get("code") == "MIC-GONE")
    assert "MIC-GONE" in " ".join(board.doctor()["alarms"])
    virtual_microphone.plug()
    process.wait_for(is_hearing, since_s=time.monotonic())
    lose_and_regain(process, virtual_microphone.unplug, virtual_microphone.plug, row, times(1, 20))
    totals = finish(board, process, began_s)
    row.seen = f"ledger: {totals['no_device']:.0f} s without a device, adds up"
    assert totals["no_device"] > row.injected
    assert max(row.recovered_s) < 3.0 + WAKES_AFTER_S


@pytest.mark.usefixtures("whole_form")
def test_a_sound_server_that_dies(hearing, virtual_microphone, tally, times):
    board, process, began_s = hearing
    row = tally("sound server killed and started again")
    lose_and_regain(process, virtual_microphone.kill, virtual_microphone.start, row, times(1, 10))
    totals = finish(board, process, began_s)
    row.seen = f"ledger: {totals['no_device']:.0f} s without a device, adds up"
    assert totals["no_device"] > row.injected


@pytest.mark.usefixtures("whole_form")
@pytest.mark.parametrize("hearing", [GREEDY], indirect=True)
def test_a_listener_that_is_stopped_accounts_for_what_it_missed(hearing, tally, times):
    board, process, began_s = hearing
    row = tally("listener and its reader stopped for 15 s (SIGSTOP)")
    for _ in range(times(1, 5)):
        children = board_children(process.pid)
        for pid in (*children, process.pid):
            signal_to(pid, signal.SIGSTOP)
        time.sleep(15.0)
        began_again_s = time.monotonic()
        for pid in (process.pid, *board_children(process.pid)):
            signal_to(pid, signal.SIGCONT)
        heard_s, _ = process.wait_for(
            lambda event: event["event"] == "level", since_s=began_again_s + 0.5
        )
        row.recovered_s.append(heard_s - began_again_s)
        row.injected += 1
        time.sleep(1.0)
    totals = finish(board, process, began_s)
    missed_s = totals["no_device"] + totals["overflow"] + totals["not_running"]
    row.seen = f"ledger: {missed_s:.0f} s not heard, adds up"
    assert missed_s > 8.0 * row.injected


def board_children(pid):
    """Return the processes that a listener has started."""
    return [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]


def signal_to(pid, number):
    os.kill(pid, number)


def test_silence_and_shouting_are_told(hearing, virtual_microphone, tmp_path, tally):
    board, process, began_s = hearing
    row = tally("digital silence; sound at full scale")
    process.wait_for(lambda event: event.get("code") == "MIC-SILENT")
    assert "MIC-SILENT" in " ".join(board.doctor()["alarms"])
    square = np.where(np.arange(25 * 16_000) // 40 % 2, 32_767, -32_768).astype(np.int16)
    soundfile.write(tmp_path / "square.wav", square, 16_000)
    player = virtual_microphone.play(tmp_path / "square.wav")
    process.wait_for(lambda event: event.get("code") == "MIC-CLIPPING")
    assert "MIC-CLIPPING" in " ".join(board.doctor()["alarms"])
    player.kill()
    player.wait()
    row.injected = 2
    row.seen = "alarms raised, and told by doctor"
    finish(board, process, began_s)


@pytest.mark.usefixtures("whole_form")
def test_sound_that_is_no_number_is_silence_and_is_told(board, demo, tally, tmp_path):
    row = tally("NaN and infinity in the sound")
    sound, rate = soundfile.read(demo, dtype="float32")
    sound = sound[: 12 * rate]
    sound[5 * rate : 5 * rate + 800] = np.nan
    sound[6 * rate : 6 * rate + 800] = np.inf
    soundfile.write(tmp_path / "nan.wav", sound, rate, subtype="FLOAT")
    process = board.listen("--wav", tmp_path / "nan.wav")
    process.wait_for(lambda event: event.get("code") == "MIC-INVALID")
    assert process.join() == 0
    row.injected = 1
    board.finish()
    row.seen = "stored as silence; MIC-INVALID"
    is_whole(board.state)
