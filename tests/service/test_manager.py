"""A real systemd hears our notifications, and acts when they stop."""

import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NOTIFYING = """
import os, sys, time
sys.path.insert(0, {root!r})
from edge_asr.systemd import Notifier
notifier = Notifier(os.environ.get("NOTIFY_SOCKET"), os.environ.get("WATCHDOG_USEC"))
notifier.ready("hearing mic")
while True:
    {loop}
    time.sleep(0.05)
"""


@pytest.fixture
def service(tmp_path):
    def write(program, *directives):
        path = tmp_path / "program.py"
        path.write_text(program, encoding="utf-8")
        return "\n".join(
            ["Type=notify", f"ExecStart={sys.executable} {path}", "Restart=always",
             "RestartSec=100ms", f"StandardError=append:{tmp_path}/stderr", *directives, ""],
        )  # fmt: skip

    return write


def test_a_service_that_makes_progress_becomes_ready_and_lives(manager, service):
    program = NOTIFYING.format(root=str(ROOT), loop="notifier.alive()")
    shown = manager(service(program, "WatchdogSec=1"), wait_s=4)
    assert shown["ActiveState"] == "active"
    assert shown["StatusText"] == "hearing mic"
    assert shown["NRestarts"] == "0"


def test_a_service_that_stalls_is_killed_by_the_watchdog_and_started_again(manager, service):
    program = NOTIFYING.format(root=str(ROOT), loop="pass")
    shown = manager(service(program, "WatchdogSec=1"), wait_s=5)
    assert int(shown["NRestarts"]) >= 2
    assert shown["ActiveState"] in {"active", "activating"}


FILTERS = (
    "NoNewPrivileges",
    "MemoryDenyWriteExecute",
    "LockPersonality",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "SystemCallArchitectures",
    "SystemCallFilter",
    "SystemCallErrorNumber",
    "TasksMax",
    "LimitNOFILE",
    "LimitCORE",
    "UMask",
)
EVERYTHING = """
import os, pkgutil, socket, subprocess, sys, tempfile
from importlib import import_module
from pathlib import Path
sys.path.insert(0, {root!r})
import edge_asr
for module in pkgutil.walk_packages(edge_asr.__path__, "edge_asr."):
    if not module.name.endswith("__main__"):
        import_module(module.name)

import numpy as np
from edge_asr.audio import read_flac, write_flac
from edge_asr.clock import now
now()
with tempfile.TemporaryDirectory() as folder:
    write_flac(Path(folder, "a.flac"), np.zeros(16000, np.float32))
    read_flac(Path(folder, "a.flac"))
    socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).bind(folder + "/doorbell")
np.ones((512, 512), np.float32) @ np.ones((512, 512), np.float32)
subprocess.run([sys.executable, "-c", "pass"], check=True)
try:
    socket.socket(socket.AF_INET)
except OSError:
    done = "everything works, and there is no way to a network"
else:
    done = "a network socket could be opened"

from edge_asr.systemd import Notifier
Notifier(os.environ["NOTIFY_SOCKET"]).ready(done)
import time
time.sleep(60)
"""


@pytest.mark.parametrize("unit", ["edge-asr-listen@.service", "edge-asr-recognize.service"])
def test_the_program_works_behind_the_units_system_call_filter(manager, service, unit, tmp_path):
    lines = (ROOT / "systemd" / unit).read_text(encoding="utf-8").splitlines()
    filters = [line for line in lines if line.partition("=")[0] in FILTERS]
    assert len(filters) >= len(FILTERS)
    shown = manager(
        service(EVERYTHING.format(root=str(ROOT)), *filters), wait_s=30, look="once-active"
    )
    assert (tmp_path / "stderr").read_text(encoding="utf-8") == ""
    assert shown["StatusText"] == "everything works, and there is no way to a network"
    assert shown["NRestarts"] == "0"
