"""Readiness and watchdog, against real datagram sockets."""

import contextlib
import socket
import time
import uuid

import pytest

from edge_asr.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request, tmp_path):
    """Yield (address, socket): what systemd would listen on."""
    name = f"edge-asr-test-{uuid.uuid4().hex}"
    address = f"@{name}" if request.param == "abstract" else str(tmp_path / "notify")
    bound = f"\0{name}" if request.param == "abstract" else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(bound)
        listener.settimeout(2)
        yield address, listener


def received(listener):
    listener.setblocking(False)
    messages = []
    try:
        while True:
            messages.append(listener.recv(4096).decode())
    except BlockingIOError:
        return messages


def test_readiness_carries_a_status(manager):
    address, listener = manager
    Notifier(address).ready("hearing mic")
    assert listener.recv(4096) == b"READY=1\nSTATUS=hearing mic"


def test_readiness_needs_no_status(manager):
    address, listener = manager
    Notifier(address).ready()
    assert listener.recv(4096) == b"READY=1"


def test_a_status_cannot_smuggle_in_another_assignment(manager):
    address, listener = manager
    Notifier(address).status("no microphone\nREADY=1\r\nFDSTORE=1")
    assert listener.recv(4096) == b"STATUS=no microphone READY=1 FDSTORE=1"


def test_stopping_and_more_time_are_said_in_systemds_words(manager):
    address, listener = manager
    notifier = Notifier(address)
    notifier.extend_timeout(1.5)
    notifier.stopping()
    assert received(listener) == ["EXTEND_TIMEOUT_USEC=1500000", "STOPPING=1"]


def test_the_watchdog_is_fed_at_most_every_third_of_its_interval(manager):
    address, listener = manager
    notifier = Notifier(address, "600000")
    start = time.monotonic()
    while time.monotonic() - start < 0.5:  # pings at 0.0, 0.2 and 0.4 s
        notifier.alive()
        time.sleep(0.005)
    pings = received(listener)
    assert set(pings) == {"WATCHDOG=1"}
    assert 2 <= len(pings) <= 3


@pytest.mark.parametrize("watchdog_usec", [None, "", "0", "-5", "soon", "1e6"])
def test_without_a_watchdog_nothing_is_fed(manager, watchdog_usec):
    address, listener = manager
    notifier = Notifier(address, watchdog_usec)
    notifier.alive()
    assert received(listener) == []


@pytest.mark.parametrize("address", [None, "", "/nonexistent/notify", "@nobody-there", "x" * 300])
def test_nobody_listening_is_no_error(address):
    notifier = Notifier(address, "3000000")
    notifier.ready("hearing mic")
    notifier.status("still hearing")
    notifier.alive()
    notifier.extend_timeout(3)
    notifier.stopping()


def test_a_manager_that_stopped_reading_holds_nobody_up_for_long(tmp_path):
    address = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(address)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
            filler.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while filler.sendto(b"STATUS=full", address):
                    pass
        start = time.monotonic()
        Notifier(address).status("hearing mic")
        assert time.monotonic() - start < 3
