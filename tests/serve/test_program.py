"""``edge-asr serve`` as it is started."""

import http.client
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from edge_asr.store import Store


def answer_at(path, request):
    """Ask at a unix socket."""
    deadline_s = time.monotonic() + 30
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(str(path))
        except OSError:
            client.close()
            assert time.monotonic() < deadline_s
            time.sleep(0.1)
            continue
        with client:
            client.sendall(request)
            answer = http.client.HTTPResponse(client)
            answer.begin()
            return answer.status, answer.read()


def test_it_serves_where_nothing_was_recorded_yet(serve):
    server = serve()
    assert server.get("/v1/transcripts").json == {"transcripts": [], "before": None}
    assert server.get("/v1/ledger").json["sources"] == []
    assert server.get("/v1/state").status == 200


def test_it_ends_with_its_followers_within_moments(serve):
    server = serve()
    with server.events() as events:
        events.next("state")
        began_s = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(15) == 0
        assert time.monotonic() - began_s < 10


def test_a_unix_socket_serves_as_well(program, tmp_path):
    path = tmp_path / "api.sock"
    process = program.start("serve", "--unix-socket", str(path))
    try:
        request = b"GET /health HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n"
        assert answer_at(path, request) == (200, b'{"status":"ok"}')
    finally:
        process.terminate()
        process.communicate(timeout=15)


def test_a_socket_that_systemd_opened_is_served_from_an_empty_network(program, tmp_path):
    activate = shutil.which("systemd-socket-activate")
    if activate is None:
        pytest.skip("systemd-socket-activate is not installed")
    path = tmp_path / "systemd.sock"
    with Store.open(program.state):
        pass
    process = subprocess.Popen(
        [activate, "--listen", str(path), *program.command("serve")],
        env=program.environ,
        cwd=Path(__file__).resolve().parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        request = b"GET /health HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n"
        assert answer_at(path, request) == (200, b'{"status":"ok"}')
    finally:
        process.terminate()
        process.communicate(timeout=15)


def test_two_servers_at_one_address_are_told_so(serve, program):
    server = serve()
    result = program.run("serve", "--port", server.port)
    assert result.returncode == 1
    assert f"cannot listen at 127.0.0.1 port {server.port}" in result.stderr


def test_a_missing_extra_that_all_text_needs_is_told_at_the_start(program, tmp_path):
    (tmp_path / "text_to_num.py").write_text("raise ModuleNotFoundError(name='text_to_num')")
    config = tmp_path / "config.yaml"
    config.write_text("recognition: {numerals: true}")
    result = program.run(
        "--config", config, "serve", "--port", 0, timeout=30, PYTHONPATH=str(tmp_path)
    )
    assert result.returncode == 78
    assert "pip install 'edge-asr[numerals]'" in result.stderr
