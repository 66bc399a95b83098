"""Processes are killed at random moments: what they had told of as committed is there, once."""

import hashlib
import random
import select
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from edge_asr.store import Store
from tests.store.speech import write_down_first

ROOT = Path(__file__).resolve().parents[2]
LEAST_ROUNDS, MOST_ROUNDS = 10, 60
"""A busy machine gets less done before each kill, and so is given more rounds."""
PROCESSES = (("listen", "mic"), ("listen", "line-in"), ("recognize", "-"))
"""Three processes in each round: 30 kills."""


def start(state_dir, what, name, seed):
    return subprocess.Popen(
        [sys.executable, "-m", "tests.store.worker", what, str(state_dir), name, str(seed)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def kill_round(state_dir, rng):
    """Run all processes, kill each at a random moment, return what they had acknowledged."""
    running = [start(state_dir, what, name, rng.randrange(2**31)) for what, name in PROCESSES]
    # A busy machine takes its time to start them: the clock runs from the first word.
    select.select([running[0].stdout], [], [], 60)
    began_s = time.monotonic()
    for process, after_s in sorted(
        ((process, rng.uniform(0.0, 1.2)) for process in running), key=lambda pair: pair[1]
    ):
        time.sleep(max(0.0, began_s + after_s - time.monotonic()))
        process.kill()
    said = []
    for process in running:
        out, err = process.communicate()
        assert err == ""
        # A line without its end was being said when the process died.
        said += [line.split() for line in out.splitlines(keepends=True) if line.endswith("\n")]
    return said


def finish(state_dir):
    """Do what the next start does, and transcribe the rest."""
    with Store.open(state_dir) as store, store.recognizing():
        assert store.utterances.recover().problems == ()
        assert store.utterances.recover().repairs == ()
        while (utterance := store.transcripts.pending()) is not None:
            n_samples = len(store.utterances.waveform(utterance))
            write_down_first(store, utterance, text=f"{n_samples} samples")
        assert store._database.row("PRAGMA integrity_check") == ("ok",)


@pytest.mark.faults
@pytest.mark.parametrize("seed", [1])
def test_thirty_kills_lose_nothing_and_double_nothing(state_dir, seed):
    rng = random.Random(seed)
    said = []
    for round_number in range(1, MOST_ROUNDS + 1):
        said += kill_round(state_dir, rng)
        n_told = Counter(ack[0] for ack in said)
        if round_number >= LEAST_ROUNDS and n_told["utterance"] > 110 and n_told["transcript"] > 60:
            break
    finish(state_dir)

    with Store.open(state_dir, readonly=True) as store:
        entries = list(store.log.entries(all_versions=True))
        stored = {entry.utterance.uid: entry for entry in entries}
        assert len(stored) == len(entries)  # one utterance, one version
        assert store.transcripts.backlog().n_quarantined == 0
    shas = {ack[1]: ack[2] for ack in said if ack[0] == "utterance"}
    assert len(shas) > 100
    assert {uid: stored[uid].utterance.audio_sha256 for uid in shas} == shas
    transcribed = [ack[1] for ack in said if ack[0] == "transcript"]
    assert len(transcribed) == len(set(transcribed)) > 50
    assert set(transcribed) <= stored.keys()

    files = {str(p.relative_to(state_dir)) for p in (state_dir / "audio").rglob("*") if p.is_file()}
    assert files == {entry.utterance.audio_path for entry in entries}
    for entry in entries:
        content = (state_dir / entry.utterance.audio_path).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry.utterance.audio_sha256
        text = entry.transcript.recognition.text
        assert text == f"{entry.utterance.n_samples} samples"
    assert list((state_dir / "open").iterdir()) == []
