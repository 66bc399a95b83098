"""A loop opens its store: mended, when there is room, with an eye on rows nobody has written."""

import errno
import threading
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from click.exceptions import Exit

from edge_asr.cli import opening
from edge_asr.cli.opening import open_store, opened_when_there_is_room
from edge_asr.errors import DatabaseDamagedError, DiskRefusesError, RequestError, StoreError
from edge_asr.store import DATABASE, Store
from edge_asr.store.reserve import RESERVE
from edge_asr.systemd import Notifier
from tests.store.speech import say, write_down


@pytest.fixture
def context(tmp_path):
    return SimpleNamespace(state_dir=tmp_path / "state")


def test_a_row_that_nobody_has_written_ends_a_loop_once(context, capsys):
    with open_store(context, Notifier()) as store:
        write_down(store, say(store))
        store._database.rows("UPDATE transcripts SET task = 'sing' WHERE id = 1")
    with (
        pytest.raises(DatabaseDamagedError, match="'sing' is not a valid Task"),
        open_store(context, Notifier()) as store,
    ):
        store.transcripts.latest(1)
    with open_store(context, Notifier()) as store:
        assert store.transcripts.pending().utterance_id == 1  # it is transcribed again
    assert "transcripts 1 is not what was written" in capsys.readouterr().err


def test_an_error_of_the_user_is_no_sign_of_damage(context):
    with pytest.raises(RequestError), open_store(context, Notifier()):
        raise RequestError("no such language")
    assert not list(context.state_dir.glob("*.suspect"))


def refused(*_arguments, **_named):
    raise DiskRefusesError("the disk is full; make room")


def opened(context, seen, claim=lambda *_: None, stop=None, *, waits=True):
    return opened_when_there_is_room(
        context, Notifier(), stop or threading.Event(), seen.append, claim, waits=waits
    )


def test_a_disk_that_refuses_is_asked_until_it_takes_everything(context, monkeypatch):
    monkeypatch.setattr(opening, "RETRY_S", 0.01)
    tries, entered, seen = [], [], []

    def claim(store, stack):
        stack.callback(entered.append, "left")
        tries.append(store)
        if len(tries) < 4:
            refused()
        return "claimed"

    with opened(context, seen, claim) as (store, claimed):
        assert claimed == "claimed"
        assert entered == ["left"] * 3  # what was claimed before is given back
        assert [alarm.code for alarm in store.alarms.between()] == ["DISK-REFUSES"]
        assert store.alarms.active() == []
    assert [change.active for change in seen] == [True, False]


def test_a_reserve_is_given_up_before_anybody_waits(context, monkeypatch):
    with opened(context, []):
        assert (context.state_dir / RESERVE).exists()
    real = opening.mend

    def mend_if_there_is_room(state_dir, **named):
        if (state_dir / RESERVE).exists():
            refused()
        return real(state_dir, **named)

    monkeypatch.setattr(opening, "mend", mend_if_there_is_room)
    seen = []
    with opened(context, seen):
        pass
    assert seen == []


def test_whoever_is_told_to_stop_does_not_wait_for_room(context, monkeypatch):
    monkeypatch.setattr(opening, "mend", refused)
    stop = threading.Event()
    stop.set()
    with ExitStack() as stack, pytest.raises(Exit) as caught:
        stack.enter_context(opened(context, [], stop=stop))
    assert caught.value.exit_code == 0


def test_a_task_with_an_end_does_not_wait(context, monkeypatch):
    monkeypatch.setattr(opening, "mend", refused)
    with pytest.raises(DiskRefusesError), opened(context, [], waits=False):
        pass


def test_what_time_does_not_mend_is_not_waited_for(context):
    def claim(*_):
        raise StoreError("another listener is there")

    with pytest.raises(StoreError, match="another listener"), opened(context, [], claim):
        pass


def test_a_full_disk_without_a_store_makes_none(context, monkeypatch):
    monkeypatch.setattr(opening, "RETRY_S", 0.01)
    real, left = type(context.state_dir).mkdir, [2]

    def full(path, *arguments, **named):
        left[0] -= 1
        if left[0] >= 0:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, *arguments, **named)

    monkeypatch.setattr(type(context.state_dir), "mkdir", full)
    seen = []
    with opened(context, seen):
        assert (context.state_dir / DATABASE).exists()
    assert "No space left" in seen[0].detail
    with Store.open(context.state_dir, readonly=True) as store:
        assert store.alarms.active() == []
