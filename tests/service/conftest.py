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


def make_wheel(directory, name, *, requires=(), files=None):
    """Write a wheel of version 0.1.0 and return its path."""
    stem = f"{name.replace('-', '_')}-0.1.0"
    info = f"{stem}.dist-info"
    needed = "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    needed += "".join(f"Provides-Extra: {extra}\n" for extra in ("serve", "signing"))
    contents = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 0.1.0\n{needed}",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        **{file.format(info=info): text for file, text in (files or {}).items()},
    }
    path = directory / f"{stem}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in contents.items():
            archive.writestr(file, text)
        record = "".join(f"{file},,\n" for file in [*contents, f"{info}/RECORD"])
        archive.writestr(f"{info}/RECORD", record)
    return path


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """Return a wheel with a command ``edge-asr`` that prints a line; what it needs lies beside it.

    What is tested is the script, so the dependencies are stand-ins: one that both need, and what
    only the client of a model hub needs.
    """
    directory = tmp_path_factory.mktemp("wheels")
    make_wheel(directory, "packaging")
    make_wheel(directory, "h11")
    make_wheel(directory, "httpx", requires=["h11"])
    make_wheel(directory, "huggingface-hub", requires=["httpx>=0.1", "packaging", "edge-asr-x"])
    make_wheel(directory, "uvicorn", requires=["h11"])
    make_wheel(directory, "edge-asr-x", requires=["huggingface_hub; extra == 'circle'"])
    make_wheel(directory, "tokenizers", requires=["huggingface_hub<3.0,>=0.1"])
    return make_wheel(
        directory,
        "edge-asr",
        requires=[
            "tokenizers>=0.1",
            "packaging",
            "uvicorn; extra == 'serve'",
            "missing; extra == 'signing'",
        ],
        files={
            "edge_asr_stub.py": "def main():\n    print('the stub runs')\n",
            "{info}/entry_points.txt": "[console_scripts]\nedge-asr = edge_asr_stub:main\n",
        },
    )
