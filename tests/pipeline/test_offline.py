"""Nothing opens a network connection: the proof is a world without a network."""

import shutil
import subprocess

import pytest

pytestmark = [pytest.mark.bundle, pytest.mark.usefixtures("bundles")]

NO_NETWORK = ("unshare", "--user", "--map-root-user", "--net")


@pytest.fixture(scope="module")
def no_network():
    if shutil.which("unshare") is None:
        pytest.skip("unshare (util-linux) is not installed")
    probe = subprocess.run([*NO_NETWORK, "true"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this machine does not allow network namespaces")
    return NO_NETWORK


def test_the_whole_pipeline_runs_in_an_empty_network_namespace(
    program,
    sample,
    no_network,
):
    for command in (
        ("listen", "--wav", sample / "demo.flac", "--fast"),
        ("--bundle", "whisper-tiny.en", "recognize", "--until-idle"),
        ("log", "export", "--format", "jsonl"),
    ):
        result = program.run(*command, wrap=no_network)
        assert result.returncode == 0, result.stderr
    assert len(result.stdout.splitlines()) >= 4
    assert "conference" in result.stdout.lower()


def test_the_namespace_really_has_no_network(no_network):
    attempt = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=1)"
    result = subprocess.run(
        [*no_network, "python3", "-c", attempt],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Network is unreachable" in result.stderr
