"""A start that finds the disk full has a little room."""

from edge_asr.store import reserve
from edge_asr.store.reserve import RESERVE, RESERVE_BYTES, give_up_reserve, lay_up_reserve


def test_a_reserve_is_laid_up_once_and_given_up_once(tmp_path):
    assert not give_up_reserve(tmp_path)
    lay_up_reserve(tmp_path)
    laid = (tmp_path / RESERVE).stat()
    assert (laid.st_size, laid.st_mode & 0o777) == (RESERVE_BYTES, 0o600)
    assert laid.st_blocks * 512 >= RESERVE_BYTES
    lay_up_reserve(tmp_path)
    assert (tmp_path / RESERVE).stat().st_ino == laid.st_ino
    assert give_up_reserve(tmp_path)
    assert not give_up_reserve(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_on_a_disk_with_little_room_none_is_laid_up(tmp_path, monkeypatch):
    monkeypatch.setattr(reserve, "_PLENTY_BYTES", 1 << 62)
    lay_up_reserve(tmp_path)
    assert list(tmp_path.iterdir()) == []
