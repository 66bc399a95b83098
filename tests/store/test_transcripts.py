"""What is pending, versions of text, and what could not be transcribed."""

import faulthandler
import json
import os
import signal
import subprocess
import sys
import threading

import pytest

from edge_asr import clock
from edge_asr.errors import StoreError
from edge_asr.records import Recognition, Task, Word
from edge_asr.store import Store
from edge_asr.store.failures import MAX_KILLS, MAX_TRIES
from tests.store.speech import recognition, say, write_down, write_down_first


def test_the_oldest_utterance_without_text_is_pending(store):
    first, second = say(store), say(store, source="other")
    assert store.transcripts.pending() == first
    write_down_first(store, first)
    assert store.transcripts.pending() == second
    write_down_first(store, second)
    assert store.transcripts.pending() is None
    third = say(store)
    assert store.transcripts.pending() == third


def test_what_was_skipped_is_pending_again_later(store):
    first, second = say(store), say(store)
    assert store.transcripts.pending(skip={first.utterance_id}) == second
    assert store.transcripts.pending(skip={1, 2}) is None
    assert store.transcripts.pending() == first


def test_a_clock_that_jumps_back_changes_no_order(store):
    now = clock.now()
    later = say(store, start=now)
    earlier = say(store, start=now.shifted(-400 * 86_400 * 10**9))
    assert store.transcripts.pending() == later
    assert [u.utterance_id for u in (later, earlier)] == [1, 2]


def test_versions_are_added_and_never_overwritten(store):
    utterance = say(store)
    transcripts = [write_down(store, utterance, text=f"take {n}") for n in (1, 2, 3)]
    assert [transcript.version for transcript in transcripts] == [1, 2, 3]
    assert store.transcripts.versions(utterance.utterance_id) == transcripts
    assert store.transcripts.latest(utterance.utterance_id) == transcripts[-1]


def test_all_that_a_recognition_says_is_kept(store):
    words = (Word("Größe", 0.02, 0.3), Word("zehn", 0.34, 0.58))
    heard = Recognition(
        "Größe zehn", "de", 0.9, Task.TRANSCRIBE, 0.5, -0.1, ("repetition",), words, 0.75
    )
    utterance = say(store)
    added = store.transcripts.add(
        utterance.utterance_id, heard, bundle="b", bundle_sha256="ab", created_utc_ns=1
    )
    assert store.transcripts.latest(utterance.utterance_id) == added
    assert added.recognition == heard
    (entry,) = store.log.entries()
    assert entry.transcript == added


def test_the_first_version_is_written_once(store):
    utterance = say(store)
    assert write_down_first(store, utterance, text="one").version == 1
    assert write_down_first(store, utterance, text="two") is None
    (only,) = store.transcripts.versions(utterance.utterance_id)
    assert only.recognition.text == "one"


def test_two_recognizers_at_once_make_no_duplicate(store, state_dir):
    utterances = [say(store, n_samples=200) for _ in range(20)]
    added = []

    def recognize():
        with Store.open(state_dir) as own:
            for utterance in utterances:
                if write_down_first(own, utterance) is not None:
                    added.append(utterance.utterance_id)
                write_down(own, utterance, text="second pass")

    threads = [threading.Thread(target=recognize) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(added) == len(set(added))
    for utterance in utterances:
        versions = store.transcripts.versions(utterance.utterance_id)
        assert [transcript.version for transcript in versions] in ([1, 2, 3], [1, 2, 3, 4])
        assert sum(t.recognition.text != "second pass" for t in versions) <= 1


def test_text_of_no_utterance_is_refused(store):
    with pytest.raises(StoreError):
        store.transcripts.add(99, recognition(), bundle="b", bundle_sha256="", created_utc_ns=0)


def test_the_backlog_has_a_length(store):
    done, *_ = [say(store, n_samples=16_000) for _ in range(3)]
    write_down_first(store, done)
    backlog = store.transcripts.backlog()
    assert (backlog.n, backlog.duration_s, backlog.n_quarantined) == (2, 2.0, 0)


def test_three_failures_quarantine_an_utterance_and_the_others_go_on(store):
    bad, good = say(store), say(store)
    for n in range(MAX_TRIES):
        assert store.transcripts.pending() == bad
        store.transcripts.record_failure(bad.utterance_id, f"wrong, {n}")
    assert store.transcripts.pending() == good
    (failure,) = store.transcripts.failures.all()
    assert (failure.tries, failure.error, failure.quarantined) == (3, "wrong, 2", True)
    assert store.transcripts.backlog().n_quarantined == 1
    write_down_first(store, good)
    assert store.transcripts.pending() is None


def test_a_quarantined_utterance_is_transcribed_after_all_by_another_pass(store):
    bad = say(store)
    for _ in range(MAX_TRIES):
        store.transcripts.record_failure(bad.utterance_id, "wrong")
    write_down(store, bad)
    assert store.transcripts.failures.all() == []
    assert store.transcripts.backlog().n_quarantined == 0


RECOGNIZER = """
import ctypes, os, signal, sys
from pathlib import Path
from edge_asr.store import Store
with Store.open(Path(sys.argv[1])) as store, store.recognizing():
    utterance = store.transcripts.pending()
    store.transcripts.begin_attempt(utterance.utterance_id)
    if sys.argv[2] == "segfault":
        ctypes.string_at(0)
    os.kill(os.getpid(), int(sys.argv[2]))
"""


def die(state_dir, how):
    """Let a recognizer die in the middle of an utterance."""
    ended = subprocess.run(
        [sys.executable, "-c", RECOGNIZER, str(state_dir), str(how)],
        check=False,
        capture_output=True,
        preexec_fn=lambda: __import__("resource").setrlimit(4, (0, 0)),  # no core file
    )
    assert ended.returncode < 0, ended.stderr


@pytest.mark.parametrize(
    ("how", "words"), [("segfault", "Segmentation fault"), (int(signal.SIGABRT), "Aborted")]
)
def test_an_utterance_that_crashes_the_recognizer_is_quarantined_after_three_tries(
    store, state_dir, how, words
):
    bad, good = say(store), say(store)
    for n in range(1, MAX_TRIES + 1):
        die(state_dir, how)
        with store.recognizing():
            (failure,) = store.transcripts.failures.all()
        assert (failure.utterance_id, failure.tries) == (bad.utterance_id, n)
        assert words in failure.error
    assert store.transcripts.pending() == good


def test_a_recognizer_that_is_killed_from_outside_does_not_condemn_the_utterance(store, state_dir):
    """A kill says little about the utterance: it is tried again, after all others."""
    first, second = say(store), say(store)
    die(state_dir, int(signal.SIGKILL))
    with store.recognizing():
        assert store.transcripts.pending() == second
        write_down_first(store, second)
        assert store.transcripts.pending() == first
    for _ in range(MAX_TRIES):
        die(state_dir, int(signal.SIGKILL))
    with store.recognizing():
        assert store.transcripts.pending() == first
        (failure,) = store.transcripts.failures.all()
        assert (failure.tries, failure.kills) == (0, 1 + MAX_TRIES)


def test_too_many_kills_are_a_reason_after_all(store):
    bad = say(store)
    with store.recognizing():
        pass
    for _ in range(MAX_KILLS):
        assert store.transcripts.pending() == bad
        leave_mark(store, bad)
        with store.recognizing():
            pass
    assert store.transcripts.pending() is None


def leave_mark(store, utterance, boot=None):
    mark = f"{utterance.utterance_id} {boot or clock.boot_id()}\n"
    (store.state_dir / "recognizing").write_text(mark, encoding="ascii")


def test_a_mark_from_before_a_power_cut_counts_for_nothing(store):
    utterance = say(store)
    leave_mark(store, utterance, boot="another")
    with store.recognizing():
        assert store.transcripts.failures.all() == []


def test_a_mark_of_an_utterance_that_has_its_text_counts_for_nothing(store):
    utterance = say(store)
    write_down_first(store, utterance)
    leave_mark(store, utterance)
    with store.recognizing():
        assert store.transcripts.failures.of(utterance.utterance_id) is None


@pytest.mark.parametrize("content", ["", "\n", "x y\n", "99 boot\n", "\udcff", "1"])
def test_a_mark_that_says_nothing_sensible_does_no_harm(store, state_dir, content):
    (state_dir / "recognizing").write_bytes(os.fsencode(content))
    with store.recognizing():
        assert store.transcripts.failures.all() == []


def test_an_attempt_that_was_survived_leaves_no_trace(store, state_dir):
    utterance = say(store)
    was_enabled = faulthandler.is_enabled()
    with store.recognizing():
        store.transcripts.begin_attempt(utterance.utterance_id)
        assert (state_dir / "recognizing").read_text().startswith(f"{utterance.utterance_id} ")
        store.transcripts.end_attempt()
        assert (state_dir / "recognizing").read_text() == ""
    assert not (state_dir / "recognizing").exists()
    assert faulthandler.is_enabled() == was_enabled


def test_flags_and_confidence_come_back_as_they_were(store):
    utterance = say(store)
    transcript = write_down(store, utterance, text="ja, \u0000 \U0001f600 \udc80"[:-1])
    assert store.transcripts.versions(utterance.utterance_id) == [transcript]
    assert json.dumps(transcript.recognition.flags) == "[]"
