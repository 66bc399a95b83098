"""A real broker, a line to it that can be cut, and somebody who subscribes to everything."""

import contextlib
import json
import select
import shutil
import socket
import subprocess
import threading
import time

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mosquitto:
    """Mosquitto, which can be stopped and started again at the same port."""

    def __init__(self, directory, *lines):
        program = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
        if program is None:
            pytest.skip("mosquitto is not installed")
        self.port = free_port()
        self._config = directory / "mosquitto.conf"
        self._config.write_text(
            "\n".join([f"listener {self.port} 127.0.0.1", "user root", *lines]) + "\n"
        )
        self._program = program
        self._process = None

    def start(self):
        self._process = subprocess.Popen(
            [self._program, "-c", str(self._config)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        deadline_s = time.monotonic() + 20
        while time.monotonic() < deadline_s:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("mosquitto did not start")

    def stop(self):
        if self._process is not None:
            self._process.kill()  # without a word to anybody
            self._process.wait()
            self._process = None


class Line:
    """Passes on to a port what comes in at its own, until it is cut."""

    def __init__(self, target):
        self._target = target
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self._is_cut = self._is_over = False
        self._ends = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def cut(self):
        """Let nothing through any more; what is on its way is lost."""
        self._is_cut = True
        while self._ends:
            time.sleep(0.01)

    def mend(self):
        self._is_cut = False

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._is_over = True
        self._thread.join(10)
        self._listening.close()

    def _run(self):
        while not self._is_over:
            readable, _, _ = select.select([self._listening, *self._ends], [], [], 0.02)
            if self._is_cut or self._is_over:
                self._hang_up()
            for each in readable:
                if each is self._listening:
                    self._accept()
                elif each in self._ends:
                    self._pass_on(each)
        self._hang_up()

    def _accept(self):
        near, _ = self._listening.accept()
        if self._is_cut:
            near.close()
        else:
            self._ends += [near, socket.create_connection(("127.0.0.1", self._target))]

    def _pass_on(self, end):
        other = self._ends[self._ends.index(end) ^ 1]
        try:
            data = end.recv(65536)
            if not data:
                raise ConnectionError
            other.sendall(data)
        except OSError:
            for each in (end, other):
                self._ends.remove(each)
                each.close()

    def _hang_up(self):
        for each in self._ends:
            with contextlib.suppress(OSError):
                each.close()
        self._ends.clear()


class Listener:
    """Hears all that is published."""

    def __init__(self, port, username=None, password=None):
        self.heard = []
        self._changed = threading.Condition()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(username, password)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_message = self._on_message
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        subscribed = threading.Event()
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(10)

    def _on_message(self, _client, _data, message):
        with self._changed:
            self.heard.append((message.topic, message.payload.decode(), bool(message.retain)))
            self._changed.notify_all()

    def close(self):
        self._client.disconnect()
        self._client.loop_stop()

    def payloads(self, topic):
        return [payload for each, payload, _ in self.heard if each == topic]

    def wait_for(self, topic, wanted=lambda _payload: True, timeout_s=30):
        """Return the first payload under a topic that is wanted."""
        with self._changed:
            found = None

            def is_there():
                nonlocal found
                found = next((p for p in self.payloads(topic) if wanted(p)), None)
                return found is not None

            there = self._changed.wait_for(is_there, timeout_s)
            assert there, f"nothing like it under {topic}: {self.heard}"
            return found

    def texts(self, topic):
        return [json.loads(payload)["text"] for payload in self.payloads(topic)]

    def wait_for_texts(self, topic, texts, timeout_s=30):
        self.wait_for(topic, lambda payload: json.loads(payload)["text"] == texts[-1], timeout_s)
        assert self.texts(topic) == texts
