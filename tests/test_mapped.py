"""Pages of a mapped table go back to the system, and what it says stays the same."""

import mmap
import os
from pathlib import Path

import pytest

from edge_asr.mapped import SMALLEST_TABLE, MappedTable

SMAPS = Path("/proc/self/smaps")
pytestmark = pytest.mark.skipif(not SMAPS.exists(), reason="the kernel does not tell of memory")


def resident_bytes():
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "graph.onnx_data"
    path.write_bytes(os.urandom(SMALLEST_TABLE + 4096))
    return path


def mapped(path, n_bytes):
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), n_bytes, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)


def test_its_pages_go_back_and_are_read_again(table):
    with mapped(table, table.stat().st_size) as content:
        before = bytes(content)
        resident = resident_bytes()
        found = MappedTable.find(table, SMAPS)
        assert found is not None
        found.give_back()
        assert resident_bytes() < resident - 0.9 * SMALLEST_TABLE
        assert bytes(content) == before


def test_what_was_written_to_is_left_alone(table):
    with mapped(table, table.stat().st_size) as content:
        content[5:9] = b"ours"
        assert MappedTable.find(table, SMAPS) is None


def test_what_is_multiplied_is_left_alone(table):
    with mapped(table, SMALLEST_TABLE // 2) as content:
        assert content[0] is not None
        assert MappedTable.find(table, SMAPS) is None


def test_a_file_that_is_not_mapped_has_no_table(table, tmp_path):
    assert MappedTable.find(table, SMAPS) is None
    assert MappedTable.find(table, tmp_path / "no-such-file") is None
