"""What is free goes back to the system."""

import subprocess
import sys

import pytest

from edge_asr.recycling import own_memory_mb

pytestmark = pytest.mark.skipif(own_memory_mb() is None, reason="the kernel does not tell")

MESS = """
from edge_asr.heap import give_back, give_back_early
from edge_asr.recycling import own_memory_mb
if {early}:
    give_back_early()
blocks = [bytearray(100_000) for _ in range(1000)]
kept = blocks[:: {every}]
full = own_memory_mb()
del blocks
if {now}:
    give_back()
print(full - own_memory_mb())
"""


def mb_given_back(**how):
    command = [sys.executable, "-c", MESS.format(**how)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_what_lies_between_kept_blocks_goes_back_when_it_is_asked_for():
    # By itself it does not: the heap shrinks from its end alone.
    assert mb_given_back(early=True, every=100, now=False) < 20
    assert mb_given_back(early=True, every=100, now=True) > 70
