"""A private systemd, and a wheel small enough to install in a test."""

import contextlib
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

UNITS = Path(__file__).resolve().parents[2] / "systemd"

PRIVATE_MANAGER = """
set -eu
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/u /run/h/.config/systemd/user
cp "$1"/* /run/h/.config/systemd/user/
export XDG_RUNTIME_DIR=/run/u HOME=/run/h
unset NOTIFY_SOCKET
systemd --user --unit=test.target >/dev/null 2>&1 &
manager=$!
if [ "$3" = once-active ]; then
  for _ in $(seq "$(($2 * 5))"); do
    if systemctl --user --quiet is-active test.service; then break; fi
    sleep 0.2
  done
else
  sleep "$2"
fi
systemctl --user show test.service
kill -KILL $manager
"""


@pytest.fixture
def manager(tmp_path):
    """Return what runs one service under a systemd of its own and returns how it fared.

    The manager lives in namespaces of its own, so it needs no systemd on the machine, and nothing
    of it is left afterwards.
    """
    for tool in ("systemd", "systemctl", "unshare"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    if os.geteuid() != 0:
        pytest.skip("only root may start a private systemd")
    units = tmp_path / "units"
    units.mkdir()

    def run(service_section, *, wait_s, look="then"):
        (units / "test.target").write_text("[Unit]\nWants=test.service\n", encoding="utf-8")
        (units / "test.service").write_text(f"[Service]\n{service_section}", encoding="utf-8")
        namespaces = ["unshare", "--mount", "--pid", "--fork", "--cgroup", "--mount-proc"]
        shown = subprocess.run(
            [*namespaces, "bash", "-c", PRIVATE_MANAGER, "bash", str(units), str(wait_s), look],
            capture_output=True,
            text=True,
            timeout=wait_s + 30,
            check=False,
        )
        if "ActiveState" not in shown.stdout:
            pytest.skip(f"a private systemd does not start here: {shown.stderr.strip()}")
        return dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)

    yield run
    for tree in Path("/sys/fs/cgroup").glob("*/*.s*"):
        if tree.name in {"init.scope", "app.slice"}:
            with contextlib.suppress(OSError):  # not ours: it holds processes
                for group, _, _ in os.walk(tree, topdown=False):
                    Path(group).rmdir()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Return a wheel with a command ``edge-asr`` and nothing else: what is tested is the script."""
    path = tmp_path_factory.mktemp("wheel") / "edge_asr-0.1.0-py3-none-any.whl"
    info = "edge_asr-0.1.0.dist-info"
    files = {
        "edge_asr_stub.py": "def main():\n    print('the stub runs')\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: edge-asr\nVersion: 0.1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\nedge-asr = edge_asr_stub:main\n",
    }
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
        record = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
        archive.writestr(f"{info}/RECORD", record)
    return path
