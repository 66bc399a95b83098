"""listen and recognize are killed at random moments, again and again, on the same store."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field

import numpy as np
import pytest

from edge_asr.records import SAMPLE_RATE
from tests.faults.board import Board, is_whole, lost_and_doubled, rows, sound_of

pytestmark = [pytest.mark.faults, pytest.mark.bundle, pytest.mark.timeout(0)]

LONGEST_LOSS_S = 1.0
N_BOARDS = 3
"""Side by side: a listener mostly waits for its sound."""
STARTING = 0.25
"""This part of the kills hits while a process starts; the others hit while it works."""


@pytest.fixture(scope="module")
def reference(bundles, demo, tmp_path_factory):  # noqa: ARG001 (no processes without models)
    """Return what is heard in the clip when nothing happens: (start in seconds, PCM) of each."""
    board = Board(tmp_path_factory.mktemp("reference"))
    assert board.listen("--wav", demo, "--fast").join() == 0
    found = rows(board.state)
    begin_ns = found[0].start_utc_ns
    return [((row.start_utc_ns - begin_ns) / 1e9, sound_of(board.state, row)) for row in found]


@dataclass
class Life:
    """One listener, from its start to its kill."""

    process: object
    killed_s: float = 0.0
    is_fast: bool = False


@dataclass
class Killed:
    """What happened on one board."""

    board: object
    listeners: list = field(default_factory=list)
    recognizers: list = field(default_factory=list)
    recovered_s: list = field(default_factory=list)


def kill_listeners(killed, demo, rng, n):
    """Kill a listener ``n`` times: two of three hear at the pace of speech, one does it fast."""
    for i in range(n):
        is_fast = i % 3 == 0
        fast = ("--fast",) if is_fast else ()
        process = killed.board.listen("--wav", demo, *fast)
        if rng.random() < STARTING:
            time.sleep(rng.uniform(0.0, 2.0))
        else:
            process.wait_for(lambda event: event["event"] == "status")
            time.sleep(rng.uniform(0.0, 1.0 if is_fast else 7.0))
        last = [at for at, event in list(process.events) if event["event"] == "level"]
        killed_s = last[-1] if last else process.began_s
        process.kill()
        killed.listeners.append(Life(process, killed_s, is_fast))
        told = [at for at, event in process.events if event["event"] == "status"]
        killed.recovered_s += [told[0] - process.began_s] if told and i else []


def kill_recognizers(killed, rng, n):
    for _ in range(n):
        process = killed.board.recognize()
        if rng.random() < STARTING:
            time.sleep(rng.uniform(0.0, 3.0))
        else:
            with suppress(AssertionError):  # there may be nothing to transcribe
                process.wait_for(lambda event: event["event"] == "transcript", timeout_s=5.0)
            time.sleep(rng.uniform(0.0, 1.0))
        process.kill()
        killed.recognizers.append(process)


def kill_on(board, demo, seed, n):
    """Kill both loops of one board, each ``n`` times, side by side."""
    killed = Killed(board)
    recognizing = threading.Thread(
        target=kill_recognizers, args=(killed, random.Random(seed + 1), n)
    )
    recognizing.start()
    kill_listeners(killed, demo, random.Random(seed), n)
    recognizing.join()
    assert killed.board.listen("--wav", demo, "--fast").join() == 0
    board.finish()
    return killed


def which(reference, pcm):
    """Return which utterance of the clip a sound is of, as far as both go."""
    for number, (_, whole) in enumerate(reference):
        n = min(len(whole), len(pcm))
        if np.array_equal(whole[:n], pcm[:n]):
            return number
    raise AssertionError("a sound that was never spoken")


def open_losses(killed, reference):
    """Yield how many seconds are missing of what was being spoken when a listener was killed.

    When each utterance of the clip is spoken is known; so is, from the levels that are told, until
    when the listener had heard it.
    """
    stored = rows(killed.board.state)
    for life in (life for life in killed.listeners if not life.is_fast):
        told = [at for at, event in life.process.events if event["event"] == "status"]
        if not told:
            continue
        heard_s = life.killed_s - told[0]
        for number, (first_s, whole) in enumerate(reference):
            end_s = first_s + len(whole) / SAMPLE_RATE
            if not first_s + LONGEST_LOSS_S < heard_s < end_s:
                continue
            began_ns = utc_ns(told[0]) + first_s * 1e9
            mine = [row for row in stored if abs(row.start_utc_ns - began_ns) < 5e8]
            found = [
                row for row in mine if which(reference, sound_of(killed.board.state, row)) == number
            ]
            there_s = max((row.n_samples for row in found), default=0) / SAMPLE_RATE
            yield heard_s - first_s - there_s


def utc_ns(at_s):
    """Return a moment of the monotonic clock in UTC: nobody sets the clock here."""
    return time.time_ns() - (time.monotonic() - at_s) * 1e9


def test_kills_lose_and_double_nothing(boards, demo, reference, tally, times):
    row = tally("SIGKILL of listen and of recognize at random moments")
    n_each = times(25, 500)
    n_boards = min(N_BOARDS, n_each)
    shares = [n_each // n_boards + (i < n_each % n_boards) for i in range(n_boards)]
    with ThreadPoolExecutor(n_boards) as pool:
        all_killed = list(
            pool.map(
                lambda i: kill_on(boards(f"board-{i}"), demo, 10 * i, shares[i]), range(n_boards)
            )
        )
    row.injected = 2 * n_each
    row.recovered_s = [s for killed in all_killed for s in killed.recovered_s]
    n_utterances = 0
    open_loss_s = [s for killed in all_killed for s in open_losses(killed, reference)]
    for killed in all_killed:
        processes = [*(life.process for life in killed.listeners), *killed.recognizers]
        lost, doubled = lost_and_doubled(killed.board.state, processes)
        stored = rows(killed.board.state)
        # The same utterance of the same life twice would have one start and one sound.
        heard = [
            (r.start_utc_ns // 1_000_000, which(reference, sound_of(killed.board.state, r)))
            for r in stored
        ]
        row.lost += lost
        row.doubled += doubled + len(heard) - len(set(heard))
        n_utterances += len(stored)
        is_whole(killed.board.state)
        assert all(len(r.texts) == 1 for r in stored)
        assert list((killed.board.state / "open").iterdir()) == []
        verified = killed.board.run("log", "verify")
        assert verified.returncode == 0, verified.stdout + verified.stderr
        findings = killed.board.doctor()
        assert "backlog" not in findings, findings
    longest_s = max(open_loss_s, default=0.0)
    row.seen = (
        f"{n_utterances:,} utterances, each with one transcript; of the {len(open_loss_s)} that "
        f"were being spoken at most {max(0.0, longest_s):.2f} s lost"
    )
    assert (row.lost, row.doubled) == (0, 0)
    assert longest_s < LONGEST_LOSS_S
