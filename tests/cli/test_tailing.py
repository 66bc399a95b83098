"""``log tail -f`` on a terminal: entries scroll, and what is being said stands below them."""

import contextlib
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time

import pytest

from edge_asr.store import Store
from edge_asr.store.feed import FOLDER, Feed, Onlooker
from tests.store.speech import say, write_down


class Terminal:
    """A terminal that a command runs in."""

    def __init__(self, command):
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
        )
        os.close(theirs)
        self._shown = self.all_shown = b""

    def wait_for(self, wanted, *, timeout_s=20):
        """Wait until something is shown that was not asked for before."""
        deadline_s = time.monotonic() + timeout_s
        while wanted not in self._shown:
            left_s = deadline_s - time.monotonic()
            assert left_s > 0, f"never shown: {wanted}; but {self._shown}"
            if select.select([self._ours], [], [], left_s)[0]:
                piece = os.read(self._ours, 4096)
                self._shown += piece
                self.all_shown += piece
        self._shown = self._shown.partition(wanted)[2]

    def end(self):
        self.process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # how Linux tells the end of a terminal
            while os.read(self._ours, 4096):
                pass
        os.close(self._ours)
        return self.process.wait(10)


@pytest.fixture
def store(tmp_path):
    with Store.open(tmp_path / "state") as opened:
        write_down(opened, say(opened, "gate"), "The first one.")
        yield opened


def tell(feed, **event):
    deadline_s = time.monotonic() + 10
    while not feed.has_onlookers:
        assert time.monotonic() < deadline_s
        time.sleep(0.05)
    feed.tell(json.dumps(event).encode())


def test_what_is_being_said_is_shown_until_its_final_text_is_there(store):
    feed = Feed(store.state_dir)
    command = [sys.executable, "-m", "edge_asr.cli", "--state", str(store.state_dir), "log", "tail"]
    terminal = Terminal([*command, "-f"])
    terminal.wait_for(b"The first one.")
    said = {"source": "gate", "start_utc": "2026-11-25T09:00:00.000Z"}
    tell(feed, event="partial", text="pump\x1b[31m se", duration_s=0.5, **said)
    terminal.wait_for("gate … pump [31m se".encode())
    added = say(store, "gate")
    write_down(store, added, "Pump seven.")
    tell(feed, event="transcript", utterance_id=added.utterance_id, text="Pump seven.", **said)
    terminal.wait_for(b"\x1b[36mgate")
    terminal.wait_for(b"Pump seven.")
    assert terminal.end() == 130
    assert list((store.state_dir / FOLDER).iterdir()) == []


@pytest.mark.parametrize("wanted", [True, False])
def test_whoever_wants_no_colours_gets_none(store, wanted, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    if not wanted:
        monkeypatch.setenv("NO_COLOR", "1")
    command = [sys.executable, "-m", "edge_asr.cli", "--state", str(store.state_dir), "doctor"]
    terminal = Terminal(command)
    terminal.wait_for(b"python  ")
    terminal.wait_for(b"sqlite")
    assert (b"\x1b[" in terminal.all_shown) == wanted
    terminal.end()


def test_one_that_was_killed_is_told_nothing(store):
    """Its socket stays behind; partial texts would be computed for nobody, for ever."""
    with Onlooker(store.state_dir, "tail-1"):
        assert Feed(store.state_dir).has_onlookers
        kept = store.state_dir / FOLDER / "tail-1.sock"
        kept.rename(kept.with_name("tail-2.sock"))
    assert [path.name for path in kept.parent.iterdir()] == ["tail-2.sock"]
    assert not Feed(store.state_dir).has_onlookers


@pytest.mark.skipif(os.geteuid() != 0, reason="only root looks at other users' stores")
def test_what_root_makes_to_look_on_belongs_to_the_loops_user(store):
    nobody = 65534
    os.chown(store.state_dir, nobody, nobody)
    with Onlooker(store.state_dir, "tail-1"):
        made = [store.state_dir / FOLDER, store.state_dir / FOLDER / "tail-1.sock"]
        assert [path.stat().st_uid for path in made] == [nobody, nobody]
