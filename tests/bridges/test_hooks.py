"""Hooks: programs and sockets of the site, told of each transcript."""

import contextlib
import http.server
import json
import os
import socket
import socketserver
import stat
import threading
import time
from pathlib import Path

import pytest

from edge_asr.alarming import AlarmBook
from edge_asr.bridges.handover import HandoverError, Patience, post, run_command
from edge_asr.bridges.hooks import Complaints, Hook, run_hooks
from edge_asr.config import parse_config
from edge_asr.errors import ConfigError
from edge_asr.store import Store
from tests.store.speech import say, write_down


def patience(timeout_s=10.0, stop=None):
    return Patience(timeout_s, stop or threading.Event(), lambda: None)


def within(timeout_s, is_so):
    deadline_s = time.monotonic() + timeout_s
    while time.monotonic() < deadline_s:
        if is_so():
            return True
        time.sleep(0.02)
    return False


@pytest.fixture
def program_file(tmp_path):
    """Return what writes a program of the site."""

    def write(body, name="gate"):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
        return str(path)

    return write


@contextlib.contextmanager
def running(state_dir, hooks, told=None):
    """Run hooks in threads, as the command does."""
    stop, is_ready = threading.Event(), threading.Event()
    settings = parse_config(json.dumps({"hooks": hooks})).hooks
    failures = []

    def run():
        try:
            with Store.open(state_dir) as writing:
                complaints = Complaints(
                    AlarmBook(writing, "", lambda _: None),
                    (told if told is not None else []).append,
                )
                started = [
                    Hook(each, state_dir, complaints, dict(os.environ), stop) for each in settings
                ]
                run_hooks(started, complaints, stop=stop, ready=is_ready.set, alive=lambda: None)
        except BaseException as error:  # noqa: BLE001 (it fails the test below)
            failures.append(error)
            is_ready.set()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert is_ready.wait(20)
        yield
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()
    assert failures == []


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def texts(path):
    return [told["text"] for told in lines(path)]


def test_a_program_gets_each_transcript_as_json_in_order(store, program_file, tmp_path):
    out = tmp_path / "out"
    write_down(store, say(store), "before there was a hook")
    with running(store.state_dir, [{"command": [program_file(f"cat >> {out}")]}]):
        for n in range(12):
            write_down(store, say(store), f"pump {n} läuft")
        assert within(30, lambda: len(lines(out)) == 12)
    assert texts(out) == [f"pump {n} läuft" for n in range(12)]
    assert lines(out)[0]["provenance"] == "model"
    assert lines(out)[0]["utterance_id"] == 2


def test_only_the_microphone_that_is_wanted_is_told_of(store, program_file, tmp_path):
    out = tmp_path / "out"
    hook = {"command": [program_file(f"cat >> {out}")], "source": "gate"}
    with running(store.state_dir, [hook]):
        write_down(store, say(store, source="hall"), "hall")
        write_down(store, say(store, source="gate"), "gate")
        assert within(20, lambda: lines(out))
    assert texts(out) == ["gate"]


def test_the_queue_survives_a_restart(store, program_file, tmp_path):
    out = tmp_path / "out"
    hooks = [{"command": [program_file(f"cat >> {out}")]}]
    with running(store.state_dir, hooks):
        write_down(store, say(store), "a")
        assert within(20, lambda: texts(out) == ["a"])
    for text in "bcd":
        write_down(store, say(store), text)
    with running(store.state_dir, hooks):
        assert within(20, lambda: len(texts(out)) >= 4)
    assert texts(out) == ["a", "b", "c", "d"]


def test_a_kill_in_the_middle_loses_nothing(store, program, program_file, tmp_path):
    out, config = tmp_path / "out", tmp_path / "config.yaml"
    command = program_file(f"cat >> {out}; sleep 0.2")
    config.write_text(json.dumps({"hooks": [{"command": [command]}]}))
    process = program.start("--config", config, "hooks")
    assert "telling hook" in process.stderr.readline()
    for n in range(10):
        write_down(store, say(store), str(n))
    assert within(20, lambda: len(lines(out)) >= 3)
    process.kill()
    process.communicate()
    process = program.start("--config", config, "hooks")
    assert within(30, lambda: "9" in texts(out))
    process.terminate()
    _, complaints = process.communicate(timeout=20)
    assert process.returncode == 0, complaints
    told = [int(text) for text in texts(out)]
    assert sorted(set(told)) == list(range(10))
    assert len(told) <= 11  # the one at hand comes twice


def test_a_program_that_fails_is_tried_again(store, program_file, tmp_path, monkeypatch):
    monkeypatch.setattr("edge_asr.bridges.hooks.LONGEST_PAUSE_S", 0.05)
    out, flag, told = tmp_path / "out", tmp_path / "flag", []
    command = program_file(f"if [ ! -e {flag} ]; then touch {flag}; exit 3; fi; cat >> {out}")
    with running(store.state_dir, [{"command": [command]}], told):
        write_down(store, say(store), "stubborn secret")
        assert within(20, lambda: texts(out) == ["stubborn secret"])
    assert store.alarms.between() == []
    assert len(told) == 1
    assert "ended with status 3 (try 1 of 8)" in told[0]
    assert "secret" not in told[0]


def test_a_transcript_that_is_given_up_is_an_alarm_and_the_next_one_comes(
    store, program_file, tmp_path, monkeypatch
):
    monkeypatch.setattr("edge_asr.bridges.hooks.LONGEST_PAUSE_S", 0.05)
    out = tmp_path / "out"
    command = program_file(f"line=$(cat); case $line in *bad*) exit 1;; esac; echo $line >> {out}")
    with running(store.state_dir, [{"command": [command], "tries": 2}]):
        write_down(store, say(store), "bad")
        assert within(20, lambda: [a.code.value for a in store.alarms.active()] == ["HOOK-FAILS"])
        assert "utterance 1" in store.alarms.active()[0].detail
        write_down(store, say(store), "good")
        assert within(20, lambda: texts(out) == ["good"])
        assert within(20, lambda: store.alarms.active() == [])


def test_one_hook_that_hangs_holds_up_no_other(store, program_file, tmp_path):
    out = tmp_path / "out"
    hooks = [
        {"name": "hangs", "command": [program_file("sleep 600", "hangs")], "timeout_s": 600},
        {"name": "works", "command": [program_file(f"cat >> {out}")]},
    ]
    with running(store.state_dir, hooks):
        for n in range(3):
            write_down(store, say(store), str(n))
        assert within(20, lambda: texts(out) == ["0", "1", "2"])


def test_what_takes_too_long_is_killed_with_all_that_it_started(program_file, tmp_path):
    pids = tmp_path / "pids"
    command = program_file(f"sleep 600 & echo $! >> {pids}; echo $$ >> {pids}; wait")
    began_s = time.monotonic()
    with pytest.raises(HandoverError, match="longer than 1 s"):
        run_command([command], b"{}", patience(1.0), os.environ)
    assert time.monotonic() - began_s < 20
    for pid in map(int, pids.read_text().split()):
        assert within(5, lambda pid=pid: not is_running(pid))


def is_running(pid):
    try:
        stat_line = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
    except FileNotFoundError:
        return False
    return stat_line.rpartition(")")[2].split()[0] != "Z"


def test_a_program_that_does_not_read_is_no_problem(program_file):
    run_command([program_file("exit 0")], b"x" * 1_000_000, patience(), os.environ)


def test_a_program_that_is_not_there_or_dies_is_told(program_file, tmp_path):
    with pytest.raises(HandoverError, match="cannot be started"):
        run_command([str(tmp_path / "nothing")], b"{}", patience(), os.environ)
    with pytest.raises(HandoverError, match="ended by signal 9"):
        run_command([program_file("kill -9 $$")], b"{}", patience(), os.environ)


def test_no_shell_reads_the_arguments(program_file, tmp_path):
    out = tmp_path / "out"
    command = [program_file(f'echo "$1" > {out}'), "$(touch hacked); `id`"]
    run_command(command, b"{}", patience(), os.environ)
    assert out.read_text() == "$(touch hacked); `id`\n"


class UnixServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def http_at(tmp_path):
    """Return an HTTP server at a unix socket: what it got, and a list of the statuses to come."""
    got, statuses = [], []

    class Handler(http.server.BaseHTTPRequestHandler):
        def address_string(self):
            return "unix"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, self.headers["Content-Type"], json.loads(body)))
            self.send_response(statuses.pop(0) if statuses else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    path = tmp_path / "site.sock"
    server = UnixServer(str(path), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield str(path), got, statuses
    server.shutdown()
    server.server_close()


def test_a_server_at_a_socket_gets_a_post_until_it_takes_it(store, http_at, monkeypatch):
    monkeypatch.setattr("edge_asr.bridges.hooks.LONGEST_PAUSE_S", 0.05)
    path, got, statuses = http_at
    statuses += [500, 503, 202]
    with running(store.state_dir, [{"unix_socket": path, "path": "/speech?x=1"}]):
        write_down(store, say(store), "eins")
        write_down(store, say(store), "zwei")
        assert within(20, lambda: len(got) == 4)
    assert [body["text"] for _, _, body in got] == ["eins", "eins", "eins", "zwei"]
    assert got[0][:2] == ("/speech?x=1", "application/json")


def test_a_large_transcript_is_posted_whole(http_at):
    path, got, _ = http_at
    text = "wort " * 400_000
    post(path, "/", json.dumps({"text": text}).encode(), patience())
    assert got[0][2] == {"text": text}


@contextlib.contextmanager
def answering(path, answer):
    """Answer the first who connects, in these bytes; None: not at all."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        listening.listen()

        def talk():
            client, _ = listening.accept()
            with client:
                client.recv(65536)
                if answer is None:
                    client.recv(1)  # until the other one leaves
                else:
                    client.sendall(answer)

        thread = threading.Thread(target=talk)
        thread.start()
        yield str(path)
        thread.join(10)
        assert not thread.is_alive()


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (None, r"longer than 0\.5 s"),
        (b"", "does not speak HTTP"),
        (b"SSH-2.0-x\r\n", "does not speak HTTP"),
        (b"HTTP/1.1 2\r\n", "does not speak HTTP"),
        (b"x" * 100_000, "does not speak HTTP|Connection reset"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answers with status 404"),
    ],
)
def test_a_socket_that_says_nothing_or_nonsense_is_told(tmp_path, answer, why):
    with (
        answering(tmp_path / "odd.sock", answer) as path,
        pytest.raises(HandoverError, match=why),
    ):
        post(path, "/", b"{}", patience(0.5))


def test_a_socket_that_is_not_there_is_told(tmp_path):
    with pytest.raises(HandoverError, match="No such file"):
        post(str(tmp_path / "missing.sock"), "/", b"{}", patience())


@pytest.mark.parametrize(
    "hook",
    [{}, {"command": ["a"], "unix_socket": "/b"}, {"command": []}],
)
def test_a_hook_has_either_a_command_or_a_socket(hook):
    with pytest.raises(ConfigError, match="either a command or a unix_socket"):
        parse_config(json.dumps({"hooks": [hook]}))


def test_two_hooks_have_two_names():
    hook = {"command": ["a"]}
    with pytest.raises(ConfigError, match="two hooks are called 'hook'"):
        parse_config(json.dumps({"hooks": [hook, hook]}))


def test_a_path_is_one_word():
    hook = {"unix_socket": "/x", "path": "/a HTTP/1.1"}
    with pytest.raises(ConfigError, match="expected a path that begins with a slash"):
        parse_config(json.dumps({"hooks": [hook]}))


def test_without_hooks_the_command_says_how_to_have_some(program):
    result = program.run("hooks")
    assert result.returncode == 78
    assert "set hooks in the configuration" in result.stderr


def test_two_processes_do_not_tell_the_same_twice(program, program_file, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(json.dumps({"hooks": [{"command": [program_file("exit 0")]}]}))
    process = program.start("--config", config, "hooks")
    assert "telling hook" in process.stderr.readline()
    second = program.run("--config", config, "hooks")
    assert second.returncode == 1
    assert "another process does the same" in second.stderr
    process.terminate()
    process.communicate(timeout=20)


def test_a_command_does_not_get_what_systemd_told_us(program, store, program_file, tmp_path):
    out, config = tmp_path / "out", tmp_path / "config.yaml"
    config.write_text(json.dumps({"hooks": [{"command": [program_file(f"env > {out}")]}]}))
    process = program.start("--config", config, "hooks", WATCHDOG_USEC="60000000", SITE="hall")
    assert "telling hook" in process.stderr.readline()
    write_down(store, say(store), "x")
    assert within(20, lambda: out.exists() and "SITE=hall" in out.read_text())
    process.terminate()
    process.communicate(timeout=20)
    assert "WATCHDOG_USEC" not in out.read_text()
