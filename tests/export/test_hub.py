"""Checkpoints come from the hub over HTTP: here from a small one that this test serves itself."""

import hashlib
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from tests.conftest import ROOT

pytestmark = pytest.mark.export

COMMIT = "1234567890abcdef1234567890abcdef12345678"
REPO = "an-organisation/a-granite"
FILES = {
    "config.json": b'{"model_type": "granite_speech"}',
    "tokenizer.json": b"{}",
    "adapter_config.json": b"{}",
    "model-00001-of-00002.safetensors": b"first" * 1000,
    "model-00002-of-00002.safetensors": b"second" * 1000,
    "model.safetensors.index.json": b'{"weight_map": {}}',
    "README.md": b"not wanted",
    "multilingual_sample.wav": b"not wanted",
}


class _Hub(BaseHTTPRequestHandler):
    """As much of the hub's API as its library needs: what a repository has, and its files."""

    served: list

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, *, with_body):
        start = f"/{REPO}/resolve/{COMMIT}/"
        if self.path.startswith(f"/api/models/{REPO}"):
            siblings = [{"rfilename": name} for name in FILES]
            body = json.dumps({"id": REPO, "sha": COMMIT, "siblings": siblings}).encode()
        elif self.path.startswith(start):
            name = self.path.removeprefix(start)
            body = FILES[name]
            self.served.append(name)
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha1(body, usedforsecurity=False).hexdigest()}"')
        self.end_headers()
        if with_body:
            self.wfile.write(body)

    def log_message(self, *_arguments):
        """Say nothing."""


@pytest.fixture
def hub():
    _Hub.served = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def _python(arguments, endpoint, folder):
    """Run Python in a process of its own: the library reads its endpoint when it is imported."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=120,
        env={**os.environ, "HF_ENDPOINT": endpoint, "HF_HOME": str(folder / "home")},
    )


FIND = """
import json, sys
from pathlib import Path
from export.recipe import MODELS, read_recipe
from export.source import find_weights
recipe = read_recipe(MODELS / "granite-4.0-1b-speech.yaml")
weights = find_weights(recipe, sys.argv[1], Path(sys.argv[2]))
print(json.dumps([weights.record, weights.notice, str(weights.folder), weights.is_checkpoint]))
"""


def test_a_repository_is_fetched_and_what_came_is_recorded(hub, tmp_path):
    result = _python(["-c", FIND, REPO, tmp_path / "work"], hub, tmp_path)

    assert result.returncode == 0, result.stderr
    record, notice, folder, is_checkpoint = json.loads(result.stdout)
    wanted = {name for name in FILES if name.startswith(("config", "token", "adapter", "model-"))}
    assert record == {
        "kind": "hub",
        "repo": REPO,
        "revision": COMMIT,
        "sha256": {name: hashlib.sha256(FILES[name]).hexdigest() for name in wanted},
        "pinned": False,
    }
    assert f"{REPO} at commit {COMMIT}: no hash was pinned; recorded: model-00001" in notice
    assert is_checkpoint
    assert folder == str(tmp_path / "work/hub/an-organisation--a-granite")
    assert not {"README.md", "multilingual_sample.wav"} & set(_Hub.served)


def test_what_was_fetched_is_not_fetched_again(hub, tmp_path):
    arguments = ["-c", FIND, REPO, tmp_path / "work"]
    first = _python(arguments, hub, tmp_path)
    n_served = len(_Hub.served)

    second = _python(arguments, hub, tmp_path)

    assert (second.returncode, second.stdout) == (0, first.stdout), second.stderr
    assert len(_Hub.served) == n_served


@pytest.mark.parametrize("named", [[], ["--from", "an-organisation/no-such-model"]])
def test_a_hub_that_has_nothing_is_one_sentence(hub, tmp_path, named):
    command = ["-m", "export", "granite-4.0-1b-speech", *named, "--work", tmp_path]

    result = _python(command, hub, tmp_path)

    assert result.returncode == 1
    assert "cannot be fetched from the hub; connect to the internet, or name" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_a_network_the_error_says_what_to_do(tmp_path):
    command = ["-m", "export", "granite-speech-4.1-2b", "--work", tmp_path]

    result = _python(command, "http://127.0.0.1:9", tmp_path)

    assert result.returncode == 1
    assert result.stderr.startswith("error: ibm-granite/granite-speech-4.1-2b cannot be fetched")
    assert "--from" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_what_is_neither_a_folder_nor_a_repository_is_refused(tmp_path):
    command = ["-m", "export", "granite-4.0-1b-speech", "--from", "./no/such/folder"]

    result = _python([*command, "--work", tmp_path], "http://127.0.0.1:9", tmp_path)

    assert result.returncode == 1
    assert "no such folder; --from takes" in result.stderr
