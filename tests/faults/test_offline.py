"""Nothing reaches for a network: every system call of a whole run is looked at."""

import re
import shutil
import time

import pytest

pytestmark = [pytest.mark.faults, pytest.mark.bundle, pytest.mark.timeout(0)]

FAMILY = re.compile(r"sa_family=(AF_\w+)")
SOCKET = re.compile(r"\b(?:socket|socketpair)\((AF_\w+|PF_\w+)")
ADDRESSED = re.compile(r"\b(connect|sendto|sendmsg|sendmmsg|bind)\(")


LINGERS_S = 15.0
"""ONNX Runtime's own messages to its maker, where they are not switched off, take some seconds."""


def test_no_call_names_an_address_outside_the_machine(board, brief, tally):
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    row = tally("strace of a whole run: calls that name a network address")
    commands = (
        ("listen", "--wav", brief, "--fast"),
        ("recognize", "--until-idle"),
        ("log", "export"),
        ("log", "search", "conference"),
        ("log", "verify"),
        ("log", "ledger"),
        ("bundle", "list"),
        ("devices",),
        ("doctor",),
    )
    calls = []
    for number, command in enumerate(commands):
        trace = board.directory / f"network-{number}"
        wrap = ("strace", "-f", "-qq", "-e", "trace=%network", "-o", str(trace))
        result = board.run(*command, wrap=wrap)
        assert "Traceback" not in result.stderr
        assert result.returncode == 0 or command[0] in {"devices", "doctor"}, result.stderr
        calls += trace.read_text(encoding="utf-8", errors="replace").splitlines()
    # The two loops as they run for days: long enough for anything that waits before it calls out.
    traces = [board.directory / f"loop-{name}" for name in ("listen", "recognize")]
    wraps = [
        ("strace", "-D", "-f", "-qq", "-e", "trace=%network", "-o", str(path)) for path in traces
    ]
    listening = board.listen("--wav", brief, wrap=wraps[0])
    recognizing = board.recognize(wrap=wraps[1])
    recognizing.wait_for(lambda event: event["event"] == "transcript")
    time.sleep(LINGERS_S)
    assert listening.join() == 0
    recognizing.stop()
    for path in traces:
        calls += path.read_text(encoding="utf-8", errors="replace").splitlines()
    addressed = [call for call in calls if ADDRESSED.search(call)]
    families = {family for call in addressed for family in FAMILY.findall(call)}
    sockets = {family for call in calls for family in SOCKET.findall(call)}
    assert len(addressed) > 5  # the doorbell at least
    row.injected = len(addressed)
    row.lost = sum(any(f != "AF_UNIX" for f in FAMILY.findall(call)) for call in addressed)
    row.seen = (
        f"addresses of {', '.join(sorted(families))}; sockets of {', '.join(sorted(sockets))}"
    )
    assert families == {"AF_UNIX"}
    assert sockets <= {"AF_UNIX"}
