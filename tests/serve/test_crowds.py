"""Many clients, and slow ones: honest requests are answered all the same."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from edge_asr.serve import bounds, connections
from tests.store.speech import say, write_down


def connected(server, data=b""):
    client = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    client.sendall(data)
    return client


def is_closed(client, within_s):
    """Read what is still on its way, to its end."""
    client.settimeout(within_s)
    try:
        while client.recv(4096):
            pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@pytest.fixture
def impatient(monkeypatch):
    """Make the server's patience short, so that a test need not wait as long."""
    monkeypatch.setattr(connections, "HEADER_S", 0.5)
    monkeypatch.setattr(bounds, "GRACE_S", 0.5)
    monkeypatch.setattr(connections, "TAKE_S", 0.5)


def test_two_hundred_clients_at_once_are_all_answered(server, store):
    write_down(store, say(store), "pump")
    with ThreadPoolExecutor(200) as pool:
        found = list(pool.map(lambda _: server.get("/v1/transcripts?q=pump").status, range(400)))
    assert found == [200] * 400


@pytest.mark.usefixtures("impatient")
def test_a_header_that_trickles_in_is_not_waited_for(server):
    with connected(server, b"GET /health HTTP/1.1\r\n") as client:
        began_s = time.monotonic()
        while time.monotonic() - began_s < 20:
            try:
                client.sendall(b"X-a: b\r\n")
            except OSError:
                break
            if is_closed(client, 0.1):
                break
        assert time.monotonic() - began_s < 20


@pytest.mark.usefixtures("impatient")
def test_nor_is_a_second_one_on_the_same_connection(server):
    request = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with connected(server, request) as client:
        received = b""
        while not received.endswith(b"}"):
            received += client.recv(4096)
        client.sendall(b"GET /health")
        assert is_closed(client, 20)


@pytest.mark.usefixtures("impatient")
def test_a_body_that_trickles_in_is_refused(server):
    head = (
        b"POST /v1/utterances/1/versions HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 500\r\n\r\n"
    )
    with connected(server, head + b"{") as client:
        client.settimeout(20)
        assert client.recv(4096).startswith(b"HTTP/1.1 408")
        assert is_closed(client, 20)


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_is_not_taken_is_given_up(server, store):
    write_down(store, say(store), "word " * 20_000)
    for i in range(40):
        write_down(store, say(store), f"{i} " + "word " * 20_000)
    with connected(server) as client:
        client.sendall(b"GET /v1/export HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(2)
        client.settimeout(20)
        received = 0
        try:
            while block := client.recv(1 << 20):
                received += len(block)
        except ConnectionError:
            pass
        assert received < 3_900_000
    assert server.get("/health").status == 200


def test_more_idle_clients_than_there_is_room_for_shut_nobody_out(server, store, monkeypatch):
    monkeypatch.setattr(connections, "MAX_CONNECTIONS", 50)
    write_down(store, say(store), "pump")
    with ExitStack() as stack:
        for _ in range(150):
            stack.enter_context(connected(server, b"GET / HT"))
        for _ in range(20):
            assert server.get("/v1/transcripts?q=pump").status == 200


def test_a_body_is_bounded_whatever_its_header_says(server):
    path = "/v1/utterances/1/versions"
    endless = (b"x" * 8_192 for _ in range(100))
    answer = server.ask("POST", path, endless, Content_Type="application/json")
    assert answer.status == 413
    promised = b"POST /v1/utterances/1/versions HTTP/1.1\r\nHost: localhost\r\nContent-Length: "
    with connected(server, promised + b"99999999999\r\n\r\n") as client:
        assert client.recv(4096).startswith(b"HTTP/1.1 413")


def test_nonsense_is_answered_or_cut_off_and_does_no_harm(server):
    for nonsense in (
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"\x00" * 100_000,
        b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"GET /" + b"a" * 200_000,
    ):
        with connected(server) as client:
            try:
                client.sendall(nonsense)
                client.shutdown(socket.SHUT_WR)
            except OSError:
                continue  # it was cut off already
            is_closed(client, 15)
    assert server.get("/health").status == 200
