"""Which signals end a loop in good order, and which wait until it can take them."""

import signal
import subprocess
import sys

import pytest

LOOP = """
import sys
from edge_asr.cli.signals import hold_usr1, on_usr1, stop_event
hold_usr1()
stop = stop_event()
print("begun", flush=True)
sys.stdin.readline()
on_usr1(lambda: print("toggled", flush=True))
for _ in range(50):
    # A signal that comes just before a wait begins is taken only when it ends: as the loops do,
    # wait briefly, and again.
    if stop.wait(0.1):
        break
print(stop.is_set(), flush=True)
"""


@pytest.fixture
def loop():
    """Return what starts a process that waits to be stopped, with SIGHUP ignored or not."""
    started = []

    def start(hangup=signal.SIG_DFL):
        def begin():
            signal.signal(signal.SIGHUP, hangup)
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background jobs ignore it

        process = subprocess.Popen(
            [sys.executable, "-c", LOOP],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            preexec_fn=begin,  # noqa: PLW1509 (one thread)
        )
        started.append(process)
        assert process.stdout.readline() == "begun\n"
        return process

    yield start
    for process in started:
        with process:
            process.kill()


def go_on(process):
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_it_ends_in_good_order(loop, number):
    process = loop()
    go_on(process)
    process.send_signal(number)
    assert process.communicate()[0] == "True\n"
    assert process.returncode == 0


def test_a_terminal_that_is_closed_does_not_end_what_was_started_with_nohup(loop):
    process = loop(hangup=signal.SIG_IGN)
    go_on(process)
    process.send_signal(signal.SIGHUP)
    process.send_signal(signal.SIGUSR1)
    assert process.stdout.readline() == "toggled\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == "True\n"


def test_a_mute_that_comes_too_early_waits(loop):
    process = loop()
    process.send_signal(signal.SIGUSR1)
    go_on(process)
    assert process.stdout.readline() == "toggled\n"
    process.send_signal(signal.SIGTERM)
    assert process.communicate()[0] == "True\n"
    assert process.returncode == 0


def test_it_ends_also_while_the_event_is_being_looked_at():
    # At any instruction of the main thread: also where it holds the lock of the event.
    program = """
import os, random, signal, time
from edge_asr.cli.signals import stop_event
for _ in range(300):
    stop = stop_event()
    if not os.fork():
        time.sleep(0.0005 + random.random() * 0.002)
        os.kill(os.getppid(), signal.SIGTERM)
        os._exit(0)
    while not stop.wait(0):
        pass
    os.wait()
print("ended")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stdout == "ended\n", done.stderr
