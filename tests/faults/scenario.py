"""A recorded write stream: what had been promised at each point of it, and what a repair makes."""

import json
import random
import shutil
import sqlite3
import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

from edge_asr.errors import StoreError
from edge_asr.records import SAMPLE_RATE
from edge_asr.store import Store
from edge_asr.store.mending import mend
from edge_asr.store.recording import BYTES_PER_SAMPLE
from edge_asr.store.recovery import Postponed
from tests.faults.board import is_whole, rows, sound_of
from tests.faults.crash import after_power_cut
from tests.faults.writes import Create, Said, Truncate, Write, operations

CHUNK_S = 0.1
"""Sound that was captured, but had not been written when the power went."""
N_REMEMBERED = 64


class Scenario:
    """What processes wrote, and said that they had written."""

    def __init__(self, trace, state):
        self.operations = operations(trace, state)
        self._heard = {}
        """uid -> [(position in the stream, samples in its open file by then)]."""
        uids, headers = {}, {}
        for position, operation in enumerate(self.operations):
            match operation:
                case Create(path, inode, False) if path.startswith("open/"):
                    uids[inode] = Path(path).stem
                case Write(inode, 0, content) if inode in uids:
                    headers[inode] = len(content)
                case Write(inode, offset, content) if inode in uids:
                    self._note(uids[inode], position, offset + len(content) - headers[inode])
                case Truncate(inode, size) if inode in headers:
                    self._note(uids[inode], position, size - headers[inode])

    def _note(self, uid, position, n_bytes):
        self._heard.setdefault(uid, []).append((position, n_bytes // BYTES_PER_SAMPLE))

    def told(self, cut):
        """Return the utterances and the transcripts that had been told of as committed."""
        said = [o.line for o in self.operations[:cut] if isinstance(o, Said)]
        events = [json.loads(line) for line in said if line.startswith("{")]
        kinds = ("utterance", "transcript")
        return [[event for event in events if event["event"] == kind] for kind in kinds]

    def heard(self, cut):
        """Return uid -> samples of it that were in its open file, synchronised or not."""
        return {
            uid: [n for position, n in steps if position < cut][-1]
            for uid, steps in self._heard.items()
            if steps[0][0] < cut
        }


@dataclass(frozen=True)
class Cut:
    """One power cut."""

    at: int
    seed: int
    kept: float
    ordered: bool


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    cut: Cut
    lost: int = 0
    doubled: int = 0
    open_loss_s: float = 0.0
    """Sound of the utterance being spoken that is not there."""
    repaired_s: float = 0.0
    problem: str = ""


class Checker:
    """Simulates power cuts, repairs what is left as ``listen`` does at its start, and looks."""

    def __init__(self, trace, state, place):
        self.scenario = Scenario(trace, state)
        self._place = place
        self._repaired = OrderedDict()
        # What was dropped as no speech need not be there; what is there at the end must.
        everything = self._disk(Cut(len(self.scenario.operations), 0, 1.0, ordered=True))
        self._closed = {row.uid for row in self._look(everything)[0]}

    def check(self, cut):
        """Return what came of a power cut."""
        try:
            stored, repaired_s = self._look(self._disk(cut))
        except (AssertionError, StoreError, OSError, sqlite3.Error) as error:
            return Outcome(cut, problem=f"{type(error).__name__}: {error}")
        lost, doubled = self._compare(cut, {row.utterance_id: row for row in stored})
        by_uid = {row.uid: row.n_samples for row in stored}
        losses = [
            n_samples - by_uid.get(uid, 0)
            for uid, n_samples in self.scenario.heard(cut.at).items()
            if uid in self._closed
        ]
        open_loss_s = max(losses, default=0) / SAMPLE_RATE
        return Outcome(cut, lost, doubled, open_loss_s, repaired_s)

    def write(self, cut, directory):
        """Put what is left after a power cut into a directory."""
        self._disk(cut).write(directory)

    def _disk(self, cut):
        return after_power_cut(
            self.scenario.operations,
            cut.at,
            random.Random(cut.seed),
            kept=cut.kept,
            ordered=cut.ordered,
        )

    def _look(self, disk):
        """Return the rows after a repair, and how long it took; equal disks are repaired once."""
        digest = disk.digest
        if digest not in self._repaired:
            shutil.rmtree(self._place, ignore_errors=True)
            disk.write(self._place)
            began_s = time.monotonic()
            _repair(self._place)
            repaired_s = time.monotonic() - began_s
            is_whole(self._place)
            stored = rows(self._place)
            for row in stored:
                sound_of(self._place, row)
            self._repaired[digest] = stored, repaired_s
            if len(self._repaired) > N_REMEMBERED:
                self._repaired.popitem(last=False)
        return self._repaired[digest]

    def _compare(self, cut, stored):
        told, written = self.scenario.told(cut.at)
        lost = sum(
            event["utterance_id"] not in stored
            or round(stored[event["utterance_id"]].n_samples / SAMPLE_RATE, 3)
            != event["duration_s"]
            for event in told
        )
        lost += sum(
            event["text"] not in getattr(stored.get(event["utterance_id"]), "texts", ())
            for event in written
        )
        uids = [row.uid for row in stored.values()]
        doubled = len(uids) - len(set(uids)) + sum(len(r.texts) > 1 for r in stored.values())
        return lost, doubled


def _repair(state):
    """Do what the next start does; doing it again must change nothing.

    What a power cut leaves is no damage: nothing may be taken for it.
    """
    mended = mend(state)
    assert mended is None, mended
    with Store.open(state) as store, store.recognizing():
        repairs = store.utterances.recover().repairs
        postponed = [repair for repair in repairs if isinstance(repair, Postponed)]
        assert postponed == []
        assert store.utterances.recover().repairs == ()
        store.transcripts.pending()


_checker = None


def prepare(trace, state, place):
    """Make this process able to :func:`check`; each process needs a place of its own."""
    global _checker  # noqa: PLW0603 (a pool's worker has no other memory)
    own = Path(place) / f"disk-{time.monotonic_ns()}"
    _checker = Checker(trace, state, own)


def check(cut):
    """Return what came of a power cut."""
    return _checker.check(cut)
