"""The short form runs with the other tests; EDGE_ASR_FAULTS=whole is ``make faults``."""

import os
import sys

import pytest
import soundfile

from tests.faults import tally as tallies
from tests.faults.board import Board
from tests.virtual_microphone import sound_directory, virtual_microphone

__all__ = ["sound_directory", "virtual_microphone"]

FORM = os.environ.get("EDGE_ASR_FAULTS", "short")
ORDER = pytest.StashKey[int]()
REPORT = pytest.StashKey[pytest.TestReport]()


def pytest_collection_modifyitems(items):
    for order, item in enumerate(items):
        item.stash[ORDER] = order


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if call.when == "call":
        item.stash[REPORT] = report
    return report


def pytest_terminal_summary(terminalreporter):
    if terminalreporter.config.stash.get(MADE, []):
        terminalreporter.section("faults")
        made = terminalreporter.config.stash[MADE]
        terminalreporter.write(tallies.table(made))


MADE = pytest.StashKey[list]()


@pytest.fixture
def times():
    """Return a function that says how often to do something: in the short and the whole form.

    ``EDGE_ASR_FAULTS_TIMES=0.1`` scales the whole form, for a slow machine.
    """
    scale = float(os.environ.get("EDGE_ASR_FAULTS_TIMES", "1"))

    def choose(short, whole):
        return short if FORM == "short" else max(1, round(whole * scale))

    return choose


@pytest.fixture
def whole_form():
    """Skip in the short form: what breaks here is rare, or is held by a quicker test elsewhere."""
    if FORM == "short":
        pytest.skip("for the whole form: make faults")


@pytest.fixture
def tally(request):
    """Return what makes a row of the table; it is kept when the test is over."""
    made = []

    def begin(fault):
        made.append(tallies.Tally(fault))
        return made[-1]

    yield begin
    report = request.node.stash.get(REPORT, None)
    if report is not None and report.skipped:
        return
    for row in made:
        row.passed = report is not None and report.passed
        tallies.save(FORM, request.node.stash[ORDER], row)
    request.config.stash.setdefault(MADE, []).extend(made)


@pytest.fixture
def boards(tmp_path, bundles):  # noqa: ARG001 (no processes without models)
    """Return what makes boards, whose processes end with the test."""
    made = []

    def make(name="board", **variables):
        made.append(Board(tmp_path / name, **variables))
        return made[-1]

    yield make
    for board in made:
        board.end()
        if text := board.said_on_stderr():
            sys.stderr.write(text[-4_000:])


@pytest.fixture
def board(boards):
    return boards()


@pytest.fixture(scope="session")
def demo(sample):
    """Return the sample's clip: 41 s, six utterances."""
    return sample / "demo.flac"


@pytest.fixture(scope="session")
def brief(demo, tmp_path_factory):
    """Return its first 13 s: two utterances, and the beginning of a third."""
    pcm, rate = soundfile.read(demo, dtype="int16")
    path = tmp_path_factory.mktemp("sound") / "brief.flac"
    soundfile.write(path, pcm[: 13 * rate], rate)
    return path
