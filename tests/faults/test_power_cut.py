"""The power goes at any moment: the write stream of real processes is cut, damaged and repaired."""

import itertools
import multiprocessing
import random
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

from tests.faults.board import Board, is_whole, rows, sound_of
from tests.faults.crash import KEPT, after_power_cut
from tests.faults.scenario import CHUNK_S, Checker, Cut, Scenario, check, prepare
from tests.faults.writes import Create, Said, Unlink, operations, strace

pytestmark = [pytest.mark.faults, pytest.mark.bundle, pytest.mark.timeout(0)]

LONGEST_LOSS_S = 1.0


@pytest.fixture
def in_memory():
    """Return a directory in memory: thousands of disks are written there."""
    place = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (it is made within)
    with tempfile.TemporaryDirectory(prefix="faults-", dir=place) as directory:
        yield Path(directory)


def record(board, trace, *, wav, lives):
    """Hear and transcribe ``wav`` under strace; all but the last life end with a kill."""
    listen, recognize = board.command("listen", "--wav", wav), board.command("recognize")
    script = "\n".join(
        f"{_quoted(recognize)} --format jsonl & r=$!\n"
        f"{_quoted(listen)} --format jsonl & l=$!\n"
        + (
            "wait $l; sleep 6; kill -TERM $r; wait $r"
            if life == lives - 1
            else "sleep 12; kill -KILL $l $r; wait"
        )
        for life in range(lives)
    )
    subprocess.run(
        strace(trace, ["sh", "-c", script]),
        env=board.environ,
        capture_output=True,
        check=False,
        timeout=300,
    )


def _quoted(command):
    return " ".join(f"'{part}'" for part in command)


def judge(tally, outcomes):
    """Fill the row, and complain about the first broken promise."""
    tally.injected = len(outcomes)
    tally.lost = sum(outcome.lost for outcome in outcomes)
    tally.doubled = sum(outcome.doubled for outcome in outcomes)
    tally.recovered_s = [outcome.repaired_s for outcome in outcomes]
    longest_s = max(outcome.open_loss_s for outcome in outcomes)
    tally.seen = f"of the utterance being spoken at most {longest_s:.2f} s lost"
    assert [o for o in outcomes if o.problem] == []
    assert [o for o in outcomes if o.lost or o.doubled] == []
    assert [o for o in outcomes if o.open_loss_s + CHUNK_S > LONGEST_LOSS_S] == []


def check_all(cuts, trace, state, place):
    context = multiprocessing.get_context("spawn")
    with context.Pool(2, prepare, (trace, state, place)) as pool:
        return pool.map(check, cuts, chunksize=50)


CHANCES = [(kept, ordered) for kept in KEPT for ordered in (False, True)]
"""The first: all that was not synchronised is lost, and names with it."""


def cuts_at(at, n):
    """Return ``n`` power cuts at one point: the harshest, and others in turn."""
    others = CHANCES[1:]
    chances = [CHANCES[0], *(others[(at + i) % len(others)] for i in range(n - 1))]
    return [Cut(at, seed, *chance) for seed, chance in enumerate(chances)]


@pytest.fixture(scope="module")
def recorded(bundles, brief, tmp_path_factory):  # noqa: ARG001 (no processes without models)
    """Return a board on which 13 s were heard and transcribed, and the write stream of it."""
    board = Board(tmp_path_factory.mktemp("recorded"))
    record(board, board.directory / "trace", wav=brief, lives=1)
    return board, board.directory / "trace"


def test_every_power_cut_in_a_short_scenario(recorded, in_memory, tally, times):
    board, trace = recorded
    n_operations = len(Scenario(trace, board.state).operations)
    assert n_operations > 100
    n_at_each = times(2, 2 * len(CHANCES))
    cuts = [cut for at in range(n_operations + 1) for cut in cuts_at(at, n_at_each)]
    judge(
        tally("power cut at every point of 13 s, two utterances"),
        check_all(cuts, trace, board.state, in_memory),
    )


MUTED = "muted/mic"


def test_a_mute_that_was_told_of_outlives_every_power_cut(board, tally, times):
    row = tally("power cut at every point of mute, unmute, mute")
    trace = board.directory / "trace"
    commands = [_quoted(board.command(command)) for command in ("mute", "unmute", "mute")]
    done = subprocess.run(
        strace(trace, ["sh", "-c", " && ".join(commands)]), env=board.environ, check=False
    )
    assert done.returncode == 0
    stream = operations(trace, board.state)
    promised = [None, *(_promise(operation) for operation in stream)]
    for at in range(1, len(promised)):
        promised[at] = promised[at - 1] if promised[at] is None else promised[at]
    phases = [promise for promise, _ in itertools.groupby(promised)]
    assert phases == [None, "open", "muted", "open", "not muted", "open", "muted"]
    for at, promise in enumerate(promised):
        if promise not in {"muted", "not muted"}:
            continue
        for cut in cuts_at(at, times(2, len(CHANCES))):
            disk = after_power_cut(
                stream, at, random.Random(cut.seed), kept=cut.kept, ordered=cut.ordered
            )
            row.injected += 1
            row.lost += any(path == MUTED for path, _ in disk.files) != (promise == "muted")
    row.seen = "once mute has told of it, the next start is muted"
    assert row.lost == 0


def _promise(operation):
    """Return what holds from an operation on: what a command told, until the next one acts."""
    match operation:
        case Said(line=line) if line.startswith("mic is "):
            return line.strip().removeprefix("mic is ").replace("unmuted", "not muted")
        case Create(path=path) | Unlink(path=path) if path == MUTED:
            return "open"
    return None


@pytest.mark.usefixtures("whole_form")
def test_power_cuts_in_a_scenario_with_kills(board, demo, in_memory, tally, times):
    n_cuts = times(150, 5_000)
    trace = board.directory / "trace"
    record(board, trace, wav=demo, lives=4)
    n_operations = len(Scenario(trace, board.state).operations)
    rng = random.Random(2)
    places = [rng.randrange(n_operations) for _ in range(n_cuts)]
    cuts = [Cut(at, rng.randrange(2**31), *rng.choice(CHANCES)) for at in places]
    judge(
        tally("power cut at a random point of minutes of speech, with kills"),
        check_all(cuts, trace, board.state, in_memory),
    )


def test_the_program_starts_after_a_power_cut(recorded, boards, brief, in_memory, tally, times):
    """The same, but what repairs is the program itself, and it goes on to hear and transcribe."""
    board, trace = recorded
    checker = Checker(trace, board.state, in_memory / "disk")
    row = tally("power cut, then the program as its user starts it")
    rng = random.Random(3)
    n_operations = len(checker.scenario.operations)
    for i in range(times(2, 40)):
        cut = Cut(rng.randrange(n_operations // 3, n_operations), i, *rng.choice(CHANCES))
        other = boards(f"after-{i}")
        checker.write(cut, other.state)
        began_s = time.monotonic()
        listening = other.listen("--wav", brief, "--fast")
        at_s, _ = listening.wait_for(lambda event: event["event"] == "status")
        assert listening.join() == 0
        row.injected += 1
        row.recovered_s.append(at_s - began_s)
        other.finish()
        is_whole(other.state)
        stored = {found.utterance_id: found for found in rows(other.state)}
        told, written = checker.scenario.told(cut.at)
        row.lost += sum(event["utterance_id"] not in stored for event in told)
        row.lost += sum(
            event["text"] not in stored[event["utterance_id"]].texts for event in written
        )
        row.doubled += sum(len(found.texts) > 1 for found in stored.values())
        assert all(len(found.texts) == 1 for found in stored.values())
        for found in stored.values():
            sound_of(other.state, found)
        assert "backlog" not in other.doctor()
    assert (row.lost, row.doubled) == (0, 0)
