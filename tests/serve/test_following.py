"""The feed of events."""

import json
import threading
import time

import pytest

from edge_asr import clock
from edge_asr.alarms import AlarmCode
from edge_asr.records import Gap, GapKind
from edge_asr.serve.live import MAX_ONLOOKERS
from edge_asr.store.feed import FOLDER, Feed
from edge_asr.store.news import Position
from tests.store.speech import say, write_down


def test_what_happens_is_told_as_it_happens(server, store):
    with server.events() as events:
        assert events.next("state")["recognizer"]["n_waiting"] == 0
        utterance = say(store)
        assert events.next("utterance")["uid"] == utterance.uid
        write_down(store, utterance, "pump seven")
        told = events.next("transcript")
        assert (told["text"], told["provenance"], told["version"]) == ("pump seven", "model", 1)
        store.gaps.add("mic", Gap(GapKind.NO_DEVICE, clock.now(), 2.0, "unplugged"))
        assert events.next("gap")["detail"] == "unplugged"
        store.alarms.raise_alarm(AlarmCode.MIC_GONE, "mic", "unplugged", moment=clock.now())
        assert events.next("alarm")["state"] == "raised"
        store.alarms.clear_alarm(AlarmCode.MIC_GONE, "mic", "back", moment=clock.now())
        assert events.next("alarm")["state"] == "cleared"


def test_who_was_cut_off_misses_nothing_and_gets_nothing_twice(server, store):
    first = say(store)
    with server.events() as events:
        events.next("state")
        write_down(store, first, "before")
        events.next("transcript")
        last_id = events.last_id
    for i in range(120):
        write_down(store, say(store), f"meanwhile {i}")
    with server.events(Last_Event_ID=last_id) as events:
        told = [events.next("transcript")["text"] for _ in range(120)]
    assert told == [f"meanwhile {i}" for i in range(120)]


def test_an_id_that_is_none_is_refused(server):
    for nonsense in ("1.2.3", "a.b.c.d.e", "1.2.3.4.99999999999999999999", "-1.0.0.0.0"):
        assert server.get("/v1/events", Last_Event_ID=nonsense).status == 400


def test_a_position_is_read_as_it_is_written():
    position = Position(1, 22, 333, 4, 0)
    assert Position.parsed(str(position)) == position


def test_levels_and_text_so_far_pass_by(server, store):
    feed = Feed(store.state_dir)
    with server.events() as events:
        events.next("state")
        deadline_s = time.monotonic() + 10
        while not feed.has_onlookers and time.monotonic() < deadline_s:
            time.sleep(0.05)
        feed.tell(json.dumps({"event": "level", "source": "mic", "rms_dbfs": -30.5}).encode())
        feed.tell(b"not JSON")
        feed.tell(json.dumps({"event": "partial", "source": "mic", "text": "pump se"}).encode())
        assert events.next("level")["rms_dbfs"] == -30.5
        assert events.next("partial")["text"] == "pump se"


def test_the_loops_are_only_listened_to_while_somebody_follows(server, store):
    sockets = store.state_dir / FOLDER / "serve.sock"
    assert not sockets.exists()
    with server.events() as events:
        events.next("state")
        deadline_s = time.monotonic() + 10
        while not sockets.exists() and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert sockets.exists()
    deadline_s = time.monotonic() + 30
    while sockets.exists() and time.monotonic() < deadline_s:
        time.sleep(0.1)
        feed = Feed(store.state_dir)
        feed.tell(b'{"event": "level"}')  # a client that left is noticed when it is told something
    assert not sockets.exists()


def test_too_many_followers_are_told_so(server):
    from contextlib import ExitStack

    with ExitStack() as stack:
        for _ in range(MAX_ONLOOKERS):
            stack.enter_context(server.events())
        answer = server.get("/v1/events")
        assert answer.status == 503
        assert "follow the events already" in answer.error


@pytest.mark.parametrize("n_clients", [30])
def test_many_followers_hear_the_same(server, store, n_clients):
    heard = []

    def follow():
        with server.events() as events:
            events.next("state")
            ready.wait(30)
            heard.append(events.next("transcript")["text"])

    ready = threading.Barrier(n_clients + 1)
    threads = [threading.Thread(target=follow) for _ in range(n_clients)]
    for thread in threads:
        thread.start()
    ready.wait(30)
    write_down(store, say(store), "for all")
    for thread in threads:
        thread.join(30)
    assert heard == ["for all"] * n_clients
