"""Who reads what a loop says may go, and its disk may be full: the loop goes on."""

import os
import subprocess
from pathlib import Path

import pytest

from edge_asr.store import Store
from tests.conftest import ROOT
from tests.store.speech import say, write_down

FULL = Path("/dev/full")


def run(program, *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL):
    command = program.command(*map(str, arguments))
    return subprocess.run(
        command, stdout=stdout, stderr=stderr, check=False, cwd=ROOT, env=program.environ
    ).returncode


def n_stored(program):
    with Store.open(program.state, readonly=True) as store:
        return store.transcripts.backlog().n


@pytest.mark.bundle
@pytest.mark.usefixtures("bundles")
def test_a_listener_goes_on_where_nothing_can_be_printed(program, sample):
    heard = ("listen", "--wav", sample / "demo.flac", "--fast")
    with FULL.open("w") as full:
        assert run(program, *heard, stdout=full, stderr=full) == 0
        n_utterances = n_stored(program)
        assert n_utterances > 3
        assert run(program, *heard, "--format", "jsonl", stdout=full, stderr=full) == 0
    assert n_stored(program) == 2 * n_utterances
    reading, writing = os.pipe()
    os.close(reading)
    assert run(program, *heard, stderr=writing) == 0
    os.close(writing)
    assert n_stored(program) == 3 * n_utterances


@pytest.mark.bundle
@pytest.mark.usefixtures("bundles")
def test_what_is_read_in_a_pipe_ends_with_its_reader(program, sample):
    reading, writing = os.pipe()
    os.close(reading)
    heard = ("listen", "--wav", sample / "demo.flac", "--fast", "--format", "jsonl")
    assert run(program, *heard, stdout=writing) == 1
    os.close(writing)


def test_an_export_that_a_full_disk_does_not_take_is_one_sentence_and_a_failure(program):
    with Store.open(program.state) as store:
        write_down(store, say(store), "pump seven")
    with FULL.open("w") as full:
        process = subprocess.run(
            program.command("log", "export"),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            cwd=ROOT,
            env=program.environ,
        )
    assert process.returncode == 1
    assert process.stderr == "edge-asr: what was printed: No space left on device\n"
