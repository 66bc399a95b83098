"""A store in an empty directory."""

import pytest

from edge_asr.store import Store


@pytest.fixture
def state_dir(tmp_path):
    return tmp_path / "state"


@pytest.fixture
def store(state_dir):
    with Store.open(state_dir) as opened:
        yield opened
