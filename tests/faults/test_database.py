"""The database is damaged or gone: nothing crashes, the sound stays, and doctor says it."""

import random
import shutil
import sqlite3
import time

import pytest

from tests.faults.board import rows, sound_of

pytestmark = [pytest.mark.faults, pytest.mark.bundle, pytest.mark.timeout(0)]

DATABASE = "log.sqlite3"


def damage(path, how, rng):
    content = bytearray(path.read_bytes())
    if how == "bit":
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    elif how == "page":
        start = rng.randrange(len(content) // 4096) * 4096
        content[start : start + 4096] = bytes(4096)
    elif how == "sector":
        start = rng.randrange(len(content) // 512) * 512
        content[start : start + 512] = bytes(512)
    elif how == "header":
        content[:100] = rng.randbytes(100)
    else:
        del content[rng.randrange(1, len(content)) :]
    path.write_bytes(content)


HOWS = ("header", "page", "cut", "sector", "bit")


def test_a_damaged_database_is_a_sentence_and_costs_no_sound(board, boards, brief, tally, times):
    row = tally("database damaged: header, page, sector, bit, cut off")
    assert board.listen("--wav", brief, "--fast").join() == 0
    board.finish()
    sounds = [sound_of(board.state, found) for found in rows(board.state)]
    rng = random.Random(6)
    n_told = 0
    n = times(3, 100)
    for i in range(n):
        other = boards(f"damaged-{i}")
        shutil.copytree(board.state, other.state)
        damage(other.state / DATABASE, HOWS[i % len(HOWS)], rng)
        row.injected += 1
        told = []
        for command in (("log", "export"), ("log", "verify"), ("recognize", "--until-idle")):
            result = other.run(*command)
            assert "Traceback" not in result.stderr, (HOWS[i % len(HOWS)], result.stderr)
            told.append(result.returncode)
        n_told += any(told) or bool({"backlog", "alarms"} & other.doctor().keys())
        # What the sentence says: move it aside, and go on. The sound is adopted.
        for left in other.state.glob(f"{DATABASE}*"):
            left.rename(other.state / f"aside-{left.name}")
        began_s = time.monotonic()
        listening = other.listen("--wav", brief, "--fast")
        at_s, _ = listening.wait_for(lambda event: event["event"] == "status")
        row.recovered_s.append(at_s - began_s)
        assert listening.join() == 0
        adopted = [sound_of(other.state, found) for found in rows(other.state)]
        row.lost += sum(
            not any((a == s).all() for a in adopted if len(a) == len(s)) for s in sounds
        )
    row.seen = f"noticed {n_told} of {n} times; moved aside, all sound was in the new log"
    assert row.lost == 0


@pytest.mark.usefixtures("whole_form")
def test_a_missing_wal_costs_nothing_after_an_orderly_end(board, brief, tally):
    row = tally("write-ahead log deleted while nothing runs")
    assert board.listen("--wav", brief, "--fast").join() == 0
    before = rows(board.state)
    for name in ("-wal", "-shm"):
        (board.state / f"{DATABASE}{name}").unlink(missing_ok=True)
    row.injected = 1
    board.finish()
    row.lost = len(before) - len(rows(board.state))
    with sqlite3.connect(f"file:{board.state}/{DATABASE}?mode=ro", uri=True) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert row.lost == 0
