"""What the loops tell whoever looks on at this moment."""

import time

from edge_asr.store.feed import FOLDER, MAX_BYTES, Feed, Onlooker


def test_whoever_looks_on_hears_what_is_told(state_dir):
    with Onlooker(state_dir, "page") as page, Onlooker(state_dir, "screen") as screen:
        feed = Feed(state_dir)
        assert feed.has_onlookers
        feed.tell(b"one")
        feed.tell(b"two")
        assert page.messages() == [b"one", b"two"]
        assert page.messages() == []
        assert screen.messages() == [b"one", b"two"]


def test_where_nobody_looks_on_nothing_happens(state_dir):
    feed = Feed(state_dir)
    feed.tell(b"one")
    assert not feed.has_onlookers
    assert not state_dir.exists()


def test_an_onlooker_who_reads_nothing_never_holds_up_who_tells(state_dir):
    with Onlooker(state_dir, "asleep"):
        feed = Feed(state_dir)
        started_s = time.monotonic()
        for _ in range(5_000):
            feed.tell(b"x" * 1_000)
        assert time.monotonic() - started_s < 5.0


def test_an_onlooker_that_died_is_told_in_vain_and_begins_anew(state_dir):
    Onlooker(state_dir, "page").__enter__()._socket.close()
    feed = Feed(state_dir)
    feed.tell(b"lost")
    with Onlooker(state_dir, "page") as page:
        deadline_s = time.monotonic() + 5
        while not feed.has_onlookers and time.monotonic() < deadline_s:
            time.sleep(0.05)
        feed.tell(b"heard")
        assert page.messages() == [b"heard"]


def test_who_comes_later_is_noticed_within_a_moment(state_dir):
    feed = Feed(state_dir)
    assert not feed.has_onlookers
    with Onlooker(state_dir, "page"):
        deadline_s = time.monotonic() + 5
        while not feed.has_onlookers and time.monotonic() < deadline_s:
            time.sleep(0.05)
        assert feed.has_onlookers


def test_who_leaves_leaves_nothing_and_only_the_owner_may_tell(state_dir):
    with Onlooker(state_dir, "page"):
        mode = (state_dir / FOLDER / "page.sock").stat().st_mode
        assert mode & 0o777 == 0o600
    assert list((state_dir / FOLDER).iterdir()) == []


def test_what_is_too_long_is_not_told(state_dir):
    with Onlooker(state_dir, "page") as page:
        Feed(state_dir).tell(b"x" * (MAX_BYTES + 1))
        assert page.messages() == []


def test_a_deep_state_directory_is_no_obstacle(tmp_path):
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    with Onlooker(deep, "page") as page:
        Feed(deep).tell(b"one")
        assert page.messages() == [b"one"]
