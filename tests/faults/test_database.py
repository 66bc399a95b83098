"""The database is damaged or gone: it is set aside and mended, and listening goes on."""

import random
import shutil
import sqlite3
import time

import pytest

from tests.faults.board import is_whole, rows, sound_of

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
    elif how == "letter":
        content = b"A letter to my aunt, and no database.\n" * 300
    elif how == "gone":
        path.unlink()
        return
    else:
        del content[rng.randrange(1, len(content)) :]
    path.write_bytes(content)


HOWS = ("header", "page", "cut", "sector", "letter", "gone", "bit")


def texts_of(state):
    return [text for row in rows(state) for text in row.texts]


def test_a_damaged_database_is_mended_at_the_next_start(board, boards, brief, tally, times):
    row = tally("database damaged: header, page, sector, bit, cut off, replaced, removed")
    assert board.listen("--wav", brief, "--fast").join() == 0
    board.finish()
    sounds = [sound_of(board.state, found) for found in rows(board.state)]
    texts = texts_of(board.state)
    rng = random.Random(6)
    n_texts, n_mended = 0, 0
    n = times(4, 105)
    for i in range(n):
        how = HOWS[i % len(HOWS)]
        other = boards(f"damaged-{i}")
        shutil.copytree(board.state, other.state)
        damage(other.state / DATABASE, how, rng)
        damaged = (other.state / DATABASE).read_bytes() if how != "gone" else None
        row.injected += 1
        for command in (("log", "export"), ("log", "verify")):
            assert "Traceback" not in other.run(*command).stderr, how
        said = other.doctor()
        began_s = time.monotonic()
        listening = other.listen("--wav", brief, "--fast")
        at_s, _ = listening.wait_for(lambda event: event["event"] == "status")
        row.recovered_s.append(at_s - began_s)
        assert listening.join() == 0, other.said_on_stderr()
        found = [sound_of(other.state, found) for found in rows(other.state)]
        row.lost += sum(not any((f == s).all() for f in found if len(f) == len(s)) for s in sounds)
        n_texts += sum(text in texts_of(other.state) for text in texts)
        kept = list((other.state / "damaged").glob("log-*.sqlite3"))
        if "log" in said:  # what doctor has found is mended, and told of until somebody looks
            n_mended += 1
            assert "LOG-DAMAGED" in str(other.doctor()["alarms"]), how
            assert [path.read_bytes() for path in kept] == [damaged] * len(kept), how
            assert other.run("log", "repair").returncode == 0
            assert "alarms" not in other.doctor()
        else:
            assert not kept
        other.finish()
        is_whole(other.state)
    row.seen = (
        f"{n_mended} of {n} were damage that shows, and were mended; "
        f"{n_texts} of {n * len(texts)} texts were carried over, the others transcribed again"
    )
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
