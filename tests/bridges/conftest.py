"""A store in an empty directory."""

import pytest

from edge_asr.store import Store


@pytest.fixture
def store(program):
    with Store.open(program.state) as opened:
        yield opened
