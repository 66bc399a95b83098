"""The log of a card that was pulled out is read where it cannot be written."""

import shutil
import subprocess

import pytest

from edge_asr.errors import StoreError
from edge_asr.store import DATABASE, Store
from edge_asr.store.damage import find_damage
from tests.store.speech import say, write_down


@pytest.fixture
def card(tmp_path):
    """Return a mounted directory, and what makes it read-only."""
    place = tmp_path / "card"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("file systems can be mounted by root only")

    def freeze():
        subprocess.run(["mount", "-o", "remount,ro", place], check=True)

    yield place, freeze
    subprocess.run(["umount", "-l", place], check=True)


def test_all_is_read_and_verified(card):
    place, freeze = card
    with Store.open(place / "state") as store:
        write_down(store, say(store), "pump seven")
    freeze()
    with Store.open(place / "state", readonly=True) as store:
        assert len(store.log.search("pump", limit=9)) == 1
        assert len(list(store.log.entries())) == 1
        found = []
        store.integrity.verify(found.append)
        assert found == []
    assert find_damage(place / "state" / DATABASE) is None
    with pytest.raises(StoreError, match=r"read-only|Read-only"):
        Store.open(place / "state")


def test_a_log_that_was_cut_off_says_what_to_do(card, tmp_path):
    place, freeze = card
    with Store.open(tmp_path / "state") as store:
        write_down(store, say(store), "pump seven")
        shutil.copytree(tmp_path / "state", place / "state")  # as a power cut leaves it
    freeze()
    with pytest.raises(StoreError, match="copy the directory to where it can be written"):
        Store.open(place / "state", readonly=True)
    shutil.copytree(place / "state", tmp_path / "copy")
    with Store.open(tmp_path / "copy", readonly=True) as store:
        assert len(store.log.search("pump", limit=9)) == 1
