"""The wall clock jumps while a listener listens: nothing is hidden, nothing is reordered."""

import json
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import soundfile

from edge_asr.store import Store
from tests.preloading import compiled
from tests.store.speech import write_down

pytestmark = [pytest.mark.bundle, pytest.mark.usefixtures("bundles")]

SHIM = Path(__file__).resolve().parent.parent / "clock_shift.c"
HOUR_S = 3600
LONG_AGO_S = -1_700_000_000


@pytest.fixture
def clock_shift(tmp_path):
    """Return the environment in which the wall clock is shifted, and what sets the shift."""
    library, shift = compiled(SHIM, tmp_path), tmp_path / "shift"

    def set_shift(seconds):
        aside = shift.with_suffix(".new")
        aside.write_text(str(int(seconds * 1e9)))
        aside.replace(shift)

    set_shift(0)
    return {"LD_PRELOAD": str(library), "CLOCK_SHIFT": str(shift)}, set_shift


@pytest.fixture
def two_sentences(sample, tmp_path):
    """Return a sound file with speech at its beginning and at its end, 8 s apart."""
    sound, rate = soundfile.read(sample / "demo.flac", dtype="float32")
    sentence = sound[: 4 * rate]
    path = tmp_path / "two.wav"
    soundfile.write(path, np.concatenate([sentence, np.zeros(8 * rate, "float32"), sentence]), rate)
    return path


def hear(program, path, environ, between):
    """Listen to a file; call ``between`` after its first utterance."""
    process = program.start("listen", "--wav", str(path), "--format", "jsonl", **environ)
    utterances = 0
    with process:
        for line in process.stdout:
            if json.loads(line)["event"] == "utterance":
                utterances += 1
                if utterances == 1:
                    between()
        assert process.wait(30) == 0, process.stderr.read()


@pytest.mark.parametrize(("first_s", "then_s"), [(LONG_AGO_S, 0), (400 * 86_400, 0), (0, 0)])
def test_what_was_heard_before_the_clock_was_set_is_found_by_when_it_really_was(
    program, clock_shift, two_sentences, first_s, then_s
):
    environ, set_shift = clock_shift
    set_shift(first_s)
    began = time.time()
    hear(program, two_sentences, environ, lambda: set_shift(then_s))
    with Store.open(program.state) as store:
        n_utterances = 0
        while (utterance := store.transcripts.pending()) is not None:
            write_down(store, utterance, text=f"sentence {n_utterances}")
            n_utterances += 1
    assert n_utterances >= 2
    entries = program.export()
    # In the order in which it was said, whatever the clock.
    assert [entry["text"] for entry in entries] == [f"sentence {i}" for i in range(n_utterances)]
    first, last = entries[0], entries[-1]
    recorded = datetime.fromisoformat(first["start_utc"]).timestamp()
    assert recorded == pytest.approx(began + first_s, abs=60)
    assert last["start_utc_corrected"] is None
    if first_s == then_s:
        assert first["start_utc_corrected"] is None
    else:
        corrected = datetime.fromisoformat(first["start_utc_corrected"]).timestamp()
        assert corrected == pytest.approx(began, abs=60)
    shown = program.run("log", "show", str(first["utterance_id"])).stdout
    assert ("corrected " in shown) == (first_s != then_s)

    def found(*options):
        result = program.run("log", "search", "sentence", "--format", "jsonl", *options)
        return len(result.stdout.splitlines())

    assert found("--since", "1h") == n_utterances
    exported = program.run("log", "export", "--since", "1h", "--format", "txt").stdout
    assert len(exported.splitlines()) == n_utterances
    tail = program.run("log", "tail").stdout
    assert [line.split("\t")[4] for line in tail.splitlines()] == [e["text"] for e in entries]


def test_the_ledger_of_the_day_has_all_of_it(program, clock_shift, two_sentences):
    environ, set_shift = clock_shift
    set_shift(LONG_AGO_S)
    hear(program, two_sentences, environ, lambda: set_shift(0))
    result = program.run("log", "ledger", "--format", "jsonl")
    [account] = [json.loads(line) for line in result.stdout.splitlines()]
    totals = account["totals_s"]
    inside_s = sum(totals.values())
    assert inside_s + account["outside_s"] == pytest.approx(account["duration_s"], abs=0.01)
    assert inside_s == pytest.approx(16, abs=5)  # unless it was midnight meanwhile
    assert totals["speech"] > 4
