"""A server as it is started, and a small client."""

import http.client
import json
import re
import select
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from edge_asr.config import Config
from edge_asr.serve.access import Access
from edge_asr.serve.server import run, site_at
from edge_asr.serve.sockets import opened
from edge_asr.store import Store


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json["error"]["message"]


@dataclass
class Server:
    """``edge-asr serve``, running."""

    port: int
    process: object
    state: object
    site: object = None
    """Where it runs in a thread of this process."""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def ask(self, method, path, body=None, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            named = {name.replace("_", "-"): value for name, value in headers.items()}
            if isinstance(body, dict):
                named.setdefault("Content-Type", "application/json")
                body = json.dumps(body)
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.getheaders()), answer.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        return self.ask("GET", path, **headers)

    @contextmanager
    def events(self, **headers):
        """Follow the events."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request("GET", "/v1/events", headers=named)
        answer = connection.getresponse()
        assert answer.status == 200
        try:
            yield Events(answer)
        finally:
            connection.close()


class Events:
    def __init__(self, answer):
        self._answer = answer
        self.last_id = None

    def next(self, *kinds):
        """Return the next event of one of these kinds."""
        while True:
            fields = {}
            while line := self._answer.readline().decode().rstrip("\n"):
                name, _, value = line.partition(": ")
                fields[name] = value
            self.last_id = fields.get("id", self.last_id)
            if "event" in fields and (not kinds or fields["event"] in kinds):
                return json.loads(fields["data"])


@pytest.fixture
def store(program):
    with Store.open(program.state) as opened:
        yield opened


@pytest.fixture
def serve(program):
    """Return what starts a server and waits until it serves."""
    started = []

    def start(*arguments, before=()):
        process = program.start(*before, "serve", "--port", "0", *arguments)
        started.append(process)
        port = _port_of(process)
        return Server(port, process, program.state)

    yield start
    for process in started:
        process.terminate()
        assert process.wait(15) == 0, process.stderr.read()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


def _port_of(process):
    deadline_s = time.monotonic() + 30
    while time.monotonic() < deadline_s:
        if select.select([process.stderr], [], [], 1)[0]:
            line = process.stderr.readline()
            assert line, f"the server ended with status {process.wait()}"
            if found := re.search(r":(\d+)$", line.strip()):
                return int(found[1])
    raise AssertionError("the server did not start")


@pytest.fixture
def serve_here(store):
    """Return what runs a server in a thread: what a test of the program itself does not need."""
    with ExitStack() as running:

        def start(config=None, access=None, bundle_dirs=()):
            return running.enter_context(_served(store.state_dir, config, access, bundle_dirs))

        yield start


@contextmanager
def _served(state_dir, config=None, access=None, bundle_dirs=()):
    listening = opened("127.0.0.1", 0)
    port = listening.getsockname()[1]
    stop, is_ready = threading.Event(), threading.Event()
    site = site_at(state_dir, config or Config(), None, bundle_dirs=bundle_dirs)
    thread = threading.Thread(
        target=run,
        args=(site, access or Access(), [listening]),
        kwargs={"stop": stop, "ready": is_ready.set, "alive": lambda: None},
    )
    thread.start()
    try:
        assert is_ready.wait(30)
        yield Server(port, None, state_dir, site)
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def server(serve_here):
    return serve_here()
