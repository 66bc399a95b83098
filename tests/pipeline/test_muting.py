"""A real listener is muted: what is said meanwhile reaches no disk, and all time has its name."""

import json
import signal

import numpy as np
import pytest
import soundfile

from edge_asr.records import GapKind
from edge_asr.store import Store

pytestmark = [pytest.mark.bundle, pytest.mark.usefixtures("bundles")]
FRAME_NS = 35_000_000
"""An utterance that is cut off ends with a whole frame of the detector."""


@pytest.fixture
def chatter(sample, tmp_path):
    """Return a sound file of 50 s: four of speech, one without, ten times."""
    sound, rate = soundfile.read(sample / "demo.flac", dtype="int16")
    spoken = np.append(sound[: 4 * rate], np.zeros(rate, np.int16))
    soundfile.write(tmp_path / "mic.wav", np.tile(spoken, 10), rate)
    return tmp_path / "mic.wav"


@pytest.fixture
def config(tmp_path):
    """Return a configuration with one microphone, called as the sound file is."""
    (tmp_path / "config.yaml").write_text("microphones: [{name: mic}]\n", encoding="ascii")
    return tmp_path / "config.yaml"


class Listening:
    """A listener at the pace of speech, and what it told."""

    def __init__(self, program, path):
        self.process = program.start("listen", "--wav", path, "--format", "jsonl")
        self.told = []

    def until(self, is_it):
        for line in self.process.stdout:
            event = json.loads(line)
            self.told.append(event)
            if is_it(event):
                return event
        raise AssertionError(f"it ended before: {self.process.stderr.read()}")

    def until_state(self, state, times=1):
        for _ in range(times):
            self.until(lambda event: event.get("state") == state)

    def until_speech(self):
        """Wait for a second of it: less may be no utterance."""
        for _ in range(10):
            self.until(lambda event: event["event"] == "level" and event["speaking"])

    def end(self, number):
        self.process.send_signal(number)
        self.told += map(json.loads, self.process.stdout)
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.wait(30)


@pytest.fixture
def listen(program, chatter):
    """Return what starts a listener."""
    started = []

    def start():
        started.append(Listening(program, chatter))
        return started[-1]

    yield start
    for listening in started:
        if listening.process.poll() is None:
            listening.end(signal.SIGKILL)


def sounds(state):
    """Return every file that could hold sound, and how long it is."""
    files = [path for name in ("open", "audio", "rejected") for path in (state / name).rglob("*")]
    return {path: path.stat().st_size for path in files if path.is_file()}


def test_what_is_said_while_muted_reaches_no_disk_even_after_a_kill(program, config, listen):
    first = listen()
    first.until_speech()
    assert program.run("--config", config, "mute").stdout == "mic is muted\n"
    first.until_state("muted", times=2)
    before = sounds(program.state)
    assert before  # what was being said before
    assert not any(path.suffix == ".part" for path in before)
    first.until_state("muted", times=2)
    assert sounds(program.state) == before
    first.end(signal.SIGKILL)
    # A kill does not end it: the next start is muted from its first moment.
    second = listen()
    second.until_state("muted", times=3)
    assert {event["event"] for event in second.told} == {"status"}
    assert sounds(program.state) == before
    doctor = program.run("--config", config, "doctor", "--format", "json").stdout
    assert "mic is muted since" in doctor
    said = program.run("--config", config, "unmute").stdout
    assert said == "mic is unmuted\n"
    second.until(lambda event: event["event"] == "utterance")
    assert second.end(signal.SIGTERM) == 0
    assert program.run("--config", config, "mute", "--status").stdout == "mic is not muted\n"
    as_json = program.run("--config", config, "mute", "--status", "--format", "jsonl").stdout
    assert json.loads(as_json) == {"source": "mic", "muted": False, "since_utc": None}
    assert set(sounds(program.state)) > set(before)


def test_a_signal_mutes_and_unmutes_and_the_log_accounts_for_it(program, config, listen):
    listening = listen()
    listening.until_speech()
    listening.process.send_signal(signal.SIGUSR1)
    listening.until_state("muted", times=3)
    status = program.run("--config", config, "mute", "--status").stdout
    assert status.startswith("mic is muted since 20")
    listening.process.send_signal(signal.SIGUSR1)
    listening.until_speech()
    assert listening.end(signal.SIGTERM) == 0
    exported = program.run("log", "export", "--format", "chain").stdout
    acts = [
        json.loads(entry["content"]["detail"])
        for entry in map(json.loads, exported.splitlines())
        if entry.get("table") == "events" and entry["content"]["kind"] in ("muted", "unmuted")
    ]
    assert acts == [{"by": "signal", "source": "mic"}] * 2
    assert program.run("log", "verify").returncode == 0
    with Store.open(program.state, readonly=True) as store:
        (gap,) = [stored.gap for stored in store.gaps.between() if stored.gap.kind is GapKind.MUTED]
        rows = store._database.rows("SELECT start_monotonic_ns, n_samples FROM utterances")
    assert gap.duration_s > 2.0
    gap_end_ns = gap.start.monotonic_ns + gap.duration_s * 1e9
    for start_ns, n_samples in rows:
        end_ns = start_ns + n_samples * 10**9 // 16_000
        assert end_ns <= gap.start.monotonic_ns + FRAME_NS or start_ns >= gap_end_ns
    ledger = program.run("log", "ledger", "--date", "today", "--format", "jsonl").stdout
    totals = json.loads(ledger)["totals_s"]
    assert totals["muted"] == pytest.approx(gap.duration_s, abs=0.05)


def test_a_mute_holds_though_the_log_cannot_be_opened(program, config, listen):
    program.state.mkdir()
    (program.state / "log.sqlite3").write_bytes(b"no database" * 1000)
    result = program.run("--config", config, "mute")
    assert result.stdout == "mic is muted\n"
    assert result.returncode == 1
    assert "log.sqlite3" in result.stderr
    (program.state / "log.sqlite3").unlink()
    listening = listen()
    listening.until_state("muted", times=2)
    assert {event["event"] for event in listening.told} == {"status"}
