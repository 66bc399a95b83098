"""The microphone goes, comes back, is silent, shouts: every second of it is accounted for."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.faults.board import is_whole
from tests.faults.crooked import NAME, CrookedMicrophone
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


def finish(board, process, began_s):
    """Stop listening; the ledger has every second of it."""
    elapsed_s = time.monotonic() - began_s
    assert process.stop() == 0, board.said_on_stderr()
    totals = board.ledger()
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


def test_a_reader_that_stalls_is_replaced(hearing, tally, times):
    """The process that reads the device hangs, as a lost microphone makes it, and never ends."""
    board, process, began_s = hearing
    row = tally("the process that reads the device stopped for good (SIGSTOP)")
    for _ in range(times(1, 20)):
        (reader,) = board_children(process.pid)
        stopped_s = time.monotonic()
        signal_to(reader, signal.SIGSTOP)
        process.wait_for(is_gone, since_s=stopped_s)
        heard_s, _ = process.wait_for(is_hearing, since_s=stopped_s)
        row.recovered_s.append(heard_s - stopped_s)
        row.injected += 1
        assert board_children(process.pid) != [reader]
        time.sleep(1.0)
    totals = finish(board, process, began_s)
    row.seen = f"ledger: {totals['no_device']:.0f} s without a device, adds up"
    assert totals["no_device"] > 0.5 * row.injected


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


@pytest.fixture
def crooked(board, virtual_microphone):
    """Return what starts a listener on a microphone that lies, given how it does."""
    config = board.directory / "config.yaml"
    config.write_text(f"microphones: [{{device: 'name:{NAME}'}}]\n", encoding="ascii")
    board.options += ["--config", str(config)]
    made = []

    def start(**how):
        made.append(CrookedMicrophone(virtual_microphone, **how))
        board.environ.update(virtual_microphone.variables)
        process = board.listen()
        process.wait_for(lambda event: event["event"] == "level")
        return process, time.monotonic()

    yield start
    for microphone in made:
        microphone.end()


@pytest.mark.usefixtures("whole_form")
@pytest.mark.parametrize("pace", [0.9, 1.1])
def test_a_microphone_at_another_rate_than_it_says_is_told(crooked, board, tally, pace):
    row = tally(f"a device gives {pace:.0%} of the samples of its rate")
    process, began_s = crooked(pace=pace)
    process.wait_for(lambda event: event.get("code") == "MIC-RATE", timeout_s=90)
    row.injected = 1
    (alarm,) = [sentence for sentence in board.doctor()["alarms"] if "MIC-RATE" in sentence]
    row.seen = "MIC-RATE, told by doctor; the ledger adds up"
    assert "%" in alarm
    finish(board, process, began_s)


def no_numbers(sound):
    """Let a third of it be NaN or infinite."""
    sound[::6], sound[3::12], sound[9::12] = np.nan, np.inf, -np.inf
    return sound


@pytest.mark.usefixtures("whole_form")
def test_a_microphone_that_gives_no_numbers_is_told(crooked, board, tally):
    """The device is opened as 16-bit integers: the sound server makes full scale of them."""
    row = tally("NaN and infinity from a device (float samples)")
    process, began_s = crooked(sample_format="float32le", spoil=no_numbers)
    process.wait_for(lambda event: event.get("code") == "MIC-CLIPPING")
    row.injected = 1
    assert "MIC-CLIPPING" in " ".join(board.doctor()["alarms"])
    row.seen = "MIC-CLIPPING, told by doctor; it goes on listening"
    finish(board, process, began_s)
