"""A board to break: the real processes on a state directory, what they said, and what is stored."""

import hashlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

ROOT = Path(__file__).resolve().parents[2]
BUNDLE = "whisper-tiny.en"
"""The quickest one."""


class Process:
    """One ``edge-asr``, and what it says while it says it."""

    def __init__(self, command, environ, errors):
        self.events = []
        """(monotonic seconds, event), in the order they were told."""
        self.began_s = time.monotonic()
        self.popen = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT, env=environ
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def pid(self):
        return self.popen.pid

    def _read(self):
        for line in self.popen.stdout:
            if line.endswith("\n"):  # a line without its end was being said when it died
                self.events.append((time.monotonic(), json.loads(line)))

    def of(self, kind):
        """Return the events of a kind."""
        return [event for _, event in list(self.events) if event["event"] == kind]

    def wait_for(self, is_it, *, since_s=0.0, timeout_s=60.0):
        """Return when the first event that ``is_it`` was told after ``since_s``, and the event."""
        deadline_s = time.monotonic() + timeout_s
        n_seen = 0
        while True:
            ended = self.popen.poll() is not None and not self._reader.is_alive()
            events = list(self.events)
            for at_s, event in events[n_seen:]:
                if at_s > since_s and is_it(event):
                    return at_s, event
            n_seen = len(events)
            assert not ended, f"ended with {self.popen.returncode} before it said that"
            assert time.monotonic() < deadline_s, f"not within {timeout_s} s"
            time.sleep(0.01)

    def kill(self):
        """Kill it as the kernel would, and hear out what it had said."""
        self.signal(signal.SIGKILL)
        self.join()

    def signal(self, number):
        self.popen.send_signal(number)

    def stop(self, timeout_s=60.0):
        """Ask it to end, and return its status."""
        self.signal(signal.SIGTERM)
        return self.join(timeout_s)

    def join(self, timeout_s=120.0):
        """Wait for its end, and return its status."""
        status = self.popen.wait(timeout_s)
        self._reader.join()
        self.popen.stdout.close()
        return status


class Board:
    """A state directory and the processes on it."""

    def __init__(self, directory, **variables):
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.state = directory / "state"
        self.errors = directory / "stderr"
        self.environ = {**os.environ, "EDGE_ASR_BUNDLES": str(ROOT / "bundles"), **variables}
        self.options = ["--bundle", BUNDLE]
        self._started = []

    def command(self, *arguments):
        """Return the argument list of a call."""
        program = [sys.executable, "-m", "edge_asr.cli", "--state", str(self.state)]
        return [*program, *self.options, *map(str, arguments)]

    def start(self, *arguments, wrap=(), **variables):
        """Start a command; what it says on stderr is kept in ``self.errors``."""
        environ = {**self.environ, **variables}
        with self.errors.open("ab") as errors:
            process = Process([*wrap, *self.command(*arguments)], environ, errors)
        self._started.append(process)
        return process

    def listen(self, *arguments, wrap=(), **variables):
        return self.start("listen", *arguments, "--format", "jsonl", wrap=wrap, **variables)

    def recognize(self, *arguments, wrap=(), **variables):
        return self.start("recognize", *arguments, "--format", "jsonl", wrap=wrap, **variables)

    def run(self, *arguments, wrap=(), timeout=300, **variables):
        """Run a command to its end."""
        return subprocess.run(
            [*wrap, *self.command(*arguments)],
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            cwd=ROOT,
            env={**self.environ, **variables},
        )

    def finish(self):
        """Do what the next start does, and transcribe the rest."""
        result = self.run("recognize", "--until-idle", timeout=3_000)
        assert result.returncode == 0, result.stderr

    def doctor(self, **variables):
        """Return doctor's findings: name -> its sentences that are not ``ok``."""
        result = self.run("doctor", "--format", "json", **variables)
        assert "Traceback" not in result.stderr, result.stderr
        found = {}
        for check in json.loads(result.stdout)["checks"]:
            if check["verdict"] != "ok":
                found.setdefault(check["name"], []).append(check["sentence"])
        return found

    def ledger(self):
        """Return seconds of each kind in the ledger of yesterday and today; it must add up."""
        totals = {}
        for day in ("yesterday", "today"):
            result = self.run("log", "ledger", "--date", day, "--format", "jsonl")
            assert result.returncode == 0, result.stderr
            for account in map(json.loads, result.stdout.splitlines()):
                inside_s = sum(account["totals_s"].values())
                assert abs(inside_s + account["outside_s"] - account["duration_s"]) < 0.01
                for kind, total_s in account["totals_s"].items():
                    totals[kind] = totals.get(kind, 0.0) + total_s
        return totals

    def said_on_stderr(self):
        return self.errors.read_text(encoding="utf-8") if self.errors.exists() else ""

    def end(self):
        """Leave no process behind."""
        for process in self._started:
            if process.popen.poll() is None:
                process.popen.kill()
                process.join()


@dataclass(frozen=True)
class Row:
    """An utterance as it is stored."""

    utterance_id: int
    uid: str
    source: str
    start_utc_ns: int
    n_samples: int
    end_reason: str
    audio_path: str
    audio_sha256: str
    texts: tuple[str, ...]
    """Its versions."""


def rows(state):
    """Return all utterances of a store, with or without text, in the order of their ids."""
    with sqlite3.connect(f"file:{state}/log.sqlite3?mode=ro", uri=True) as database:
        texts = {}
        for utterance_id, text in database.execute(
            "SELECT utterance_id, text FROM transcripts ORDER BY utterance_id, version"
        ):
            texts.setdefault(utterance_id, []).append(text)
        found = database.execute(
            "SELECT id, uid, source, start_utc_ns, n_samples, end_reason, audio_path, audio_sha256"
            " FROM utterances ORDER BY id"
        )
        return [Row(*row, tuple(texts.get(row[0], ()))) for row in found]


def sound_of(state, row):
    """Return an utterance's PCM, int16 of shape ``(n_samples,)``, after its checksum."""
    path = state / row.audio_path
    assert hashlib.sha256(path.read_bytes()).hexdigest() == row.audio_sha256, path
    pcm, rate = soundfile.read(path, dtype="int16")
    assert (rate, len(pcm)) == (16_000, row.n_samples), path
    return pcm


def is_whole(state):
    """Whether the database is; whether each file has a row and each row a file."""
    with sqlite3.connect(f"file:{state}/log.sqlite3?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert database.execute("PRAGMA foreign_key_check").fetchall() == []
    files = {str(p.relative_to(state)) for p in (state / "audio").rglob("*") if p.is_file()}
    assert files == {row.audio_path for row in rows(state)}


def lost_and_doubled(state, processes):
    """Return how many of the told utterances and transcripts are not there, or twice."""
    stored = {row.utterance_id: row for row in rows(state)}
    told = [event for process in processes for event in process.of("utterance")]
    written = [event for process in processes for event in process.of("transcript")]
    lost = sum(
        event["utterance_id"] not in stored
        or round(stored[event["utterance_id"]].n_samples / 16_000, 3) != event["duration_s"]
        for event in told
    )
    lost += sum(event["text"] not in stored[event["utterance_id"]].texts for event in written)
    doubled = sum(len(row.texts) > 1 for row in stored.values())
    for events in (told, written):
        ids = [event["utterance_id"] for event in events]
        doubled += len(ids) - len(set(ids))
    return lost, doubled


def longest_shared(first, second):
    """Return whether two sounds are the same as far as both go."""
    n = min(len(first), len(second))
    return bool(np.array_equal(first[:n], second[:n]))
