"""The wall clock is set back and forward while both loops run: nothing is hidden or reordered."""

import json
import random
import time
from pathlib import Path

import pytest

from tests.faults.board import is_whole, lost_and_doubled, rows
from tests.preloading import compiled

pytestmark = [pytest.mark.faults, pytest.mark.bundle, pytest.mark.timeout(0)]

SHIM = Path(__file__).resolve().parent.parent / "clock_shift.c"
JUMPS_S = (-86_400, 400 * 86_400, -1_700_000_000, 7, -3_600, 0.4, 30 * 86_400, -2)
"""A day back, a year forward, into 1972, and steps that are easily overlooked."""


class Clock:
    """The wall clock of the processes that are started with ``variables``."""

    def __init__(self, directory):
        self._shift = directory / "shift"
        self.variables = {
            "LD_PRELOAD": str(compiled(SHIM, directory)),
            "CLOCK_SHIFT": str(self._shift),
        }
        self.set(0)

    def set(self, shift_s):
        aside = self._shift.with_suffix(".new")
        aside.write_text(str(int(shift_s * 1e9)))
        aside.replace(self._shift)


def test_a_clock_that_jumps_loses_and_reorders_nothing(board, demo, tmp_path, tally, times):
    row = tally("the wall clock set back and forward, by 0.4 s to 50 years")
    clock = Clock(tmp_path)
    rng = random.Random(3)
    recognizing = board.recognize(**clock.variables)
    listening = board.listen("--wav", demo, **clock.variables)
    listening.wait_for(lambda event: event["event"] == "level")
    began_s = time.monotonic()
    jumps = [*JUMPS_S, *(rng.uniform(-1e9, 1e9) for _ in range(times(0, 12)))]
    for jump_s in jumps:
        clock.set(jump_s)
        row.injected += 1
        time.sleep(2.4 if len(jumps) < 12 else 1.5)
    clock.set(0)
    time.sleep(1.5)
    elapsed_s = time.monotonic() - began_s
    assert listening.stop() == 0, board.said_on_stderr()
    assert recognizing.stop() == 0, board.said_on_stderr()
    board.finish()
    row.lost, row.doubled = lost_and_doubled(board.state, [listening, recognizing])
    is_whole(board.state)
    stored = rows(board.state)
    # In the order in which it was said: the ids' and the log's.
    assert [json.loads(line)["utterance_id"] for line in exported(board)] == [
        found.utterance_id for found in stored
    ]
    assert all(len(found.texts) == 1 for found in stored)
    assert board.run("log", "verify").returncode == 0
    assert abs(sum(board.ledger().values()) - elapsed_s) < 3.0
    row.seen = f"{len(stored)} utterances in order; the ledger has every second of the real day"
    assert (row.lost, row.doubled) == (0, 0)


def exported(board):
    return board.run("log", "export", "--format", "jsonl").stdout.splitlines()
