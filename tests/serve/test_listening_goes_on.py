"""While crowds ask, slow clients dawdle and files are transcribed, no sound is lost."""

import json
import signal
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import openai
import pytest

from tests.virtual_microphone import sound_directory, virtual_microphone

__all__ = ["sound_directory", "virtual_microphone"]

RUSH_S = 5.0
HEAD = """\
POST /v1/audio/transcriptions HTTP/1.1
Host: localhost
Content-Length: 9000
Content-Type: multipart/form-data; boundary=frontier

--front"""
DAWDLING = (b"GET /health HTTP/1.1\r\nX-a: ", HEAD.replace("\n", "\r\n").encode())

pytestmark = [pytest.mark.bundle, pytest.mark.microphone, pytest.mark.usefixtures("bundles")]


def dawdle(server, stack, stop):
    """Send a byte now and then, on many connections."""
    clients = [
        stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
        for _ in range(100)
    ]
    for i, client in enumerate(clients):
        client.sendall(DAWDLING[i % len(DAWDLING)])
    while not stop.wait(0.5):
        for client in clients:
            try:
                client.sendall(b"a")
            except OSError:
                continue  # it was given up, as it should be


def test_no_frame_is_lost_and_honest_requests_are_answered(
    program, serve, sample, virtual_microphone
):
    listen = program.start("listen", "--format", "jsonl", **virtual_microphone.variables)
    while json.loads(listen.stdout.readline())["event"] != "level":
        pass
    reading = threading.Thread(target=listen.stdout.read)
    reading.start()
    player = virtual_microphone.play(sample / "demo.flac")
    server = serve()
    client = openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", max_retries=5)
    stop, statuses = threading.Event(), []

    def ask(_number):
        while not stop.wait(0.5):
            statuses.append(server.get("/v1/transcripts?q=conference").status)

    with ExitStack() as stack, client, ThreadPoolExecutor(202) as pool:
        pool.submit(dawdle, server, stack, stop)
        asking = [pool.submit(ask, number) for number in range(200)]
        time.sleep(1.0)  # all that dawdle are there
        said = client.audio.transcriptions.create(file=sample / "demo.flac", model="whisper-1")
        time.sleep(RUSH_S)
        stop.set()
        for each in asking:
            each.result()
    listen.send_signal(signal.SIGTERM)
    reading.join()
    listen.communicate(timeout=20)
    assert listen.returncode == 0
    player.kill()
    player.wait()
    assert set(statuses) == {200}
    assert len(statuses) > 400
    assert "conference" in said.text.lower()
    ledger = program.run("log", "ledger", "--format", "jsonl")
    (account,) = map(json.loads, ledger.stdout.splitlines())
    assert account["totals_s"].get("overflow", 0.0) == 0.0, account
    assert account["totals_s"]["speech"] > 3.0, account
