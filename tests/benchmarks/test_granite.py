"""The Granite benchmark runs on tiny models, and prints what it measured."""

import time
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from benchmarks.granite import main, make_clips
from benchmarks.granite_job import Answer, Clip, ClipTimes, Clock, DraftTime, Job
from benchmarks.granite_llama import PeerError, read_times, shared_out
from benchmarks.granite_llama import run as llama_cpp
from benchmarks.granite_ours import spoilt
from benchmarks.granite_table import Measured, write_tables
from benchmarks.memory import Memory, PeakMemory, memory_of
from edge_asr.audio import read_flac, write_flac

CLIP = Clip(path=Path("5.flac"), duration_s=5.0, n_tokens=17)
LOG = """
audio slice encoded in 2500 ms
audio decoded (batch 1/1) in 900 ms
llama_perf_context_print:        load time =    3000.00 ms
llama_perf_context_print: prompt eval time =    1000.50 ms /    70 tokens ( 14.29 ms per token)
llama_perf_context_print:        eval time =     800.00 ms /    16 runs   ( 50.00 ms per token)
llama_perf_context_print:       total time =    9000.00 ms /    86 tokens
"""


@pytest.fixture
def speech(tmp_path):
    folder = tmp_path / "speech"
    folder.mkdir()
    noise = np.random.default_rng(3).normal(scale=0.1, size=12_000)
    write_flac(folder / "a.flac", noise.astype(np.float32))
    write_flac(folder / "b.flac", noise[::-1].astype(np.float32))
    return folder


@pytest.mark.export
def test_tiny_models_are_measured_side_by_side(speech, tmp_path):
    from export.__main__ import main as export
    from tests.granite_checkpoint import write_granite_checkpoint

    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    write_granite_checkpoint(checkpoint)
    order = ["granite-4.0-1b-speech", "--from", checkpoint, "--out", tmp_path, "--quantize", "int8"]
    made = CliRunner().invoke(export, [*map(str, order), "--work", str(tmp_path / "work")])
    assert made.exit_code == 0, made.output

    options = ["--bundle", tmp_path / "granite-4.0-1b-speech", "--checkpoint", checkpoint]
    options += ["--dtype", "float32", "--speech", speech, "--seconds", 3, "--rounds", 1]
    result = CliRunner().invoke(main, [str(each) for each in (*options, "--threads", 1)])
    assert result.exit_code == 0, result.output
    rows = result.output.splitlines()
    for system in ("granite-4.0-1b-speech", "Transformers float32"):
        assert any(row.startswith(f"| 3 s, 10 tokens | {system} |") for row in rows)
    drafts = [row for row in rows if row.startswith("| 3 s |") and row.endswith("x) |")]
    assert len(drafts) == 1
    assert "other tokens" not in drafts[0]  # what greedy search finds, whatever the draft


def test_one_round_more_counts_the_middle_one():
    def answer(total_s):
        draft = DraftTime(share_right=1.0, decode_s=0.1, is_identical=total_s < 3)
        times = ClipTimes(5.0, 17, total_s, 0.0, 0.0, [0.1, 0.2], [draft] * 4)
        return Answer(1.0, [times], Memory(resident=3_000_000_000, anonymous=1_000_000_000))

    peak = Memory(resident=4_000_000_000, anonymous=2_000_000_000)
    ours = Measured("ours", 10**9, [answer(1.0), answer(9.0), answer(2.0)], [peak])
    theirs = Measured("theirs", 10**9, [answer(4.0)], [peak])
    text = write_tables([ours, theirs], "theirs")
    assert "| 5 s, 17 tokens | ours | 2.00 s | 0.00 s | 0 ms | 2.00 s | 0.40 | 2.0x |" in text
    with_draft = "| ours, 90% of the draft right | 2.00 s | 0.00 s | 6 ms | 2.10 s | 0.42 | 1.9x |"
    assert with_draft in text
    assert "| ours | 1.00 GB | 1.0 s | 4.00 GB | 2.00 GB | 3.00 GB | 1.00 GB | 2.00 GB |" in text
    assert "other tokens" in text


def test_clips_are_as_long_as_asked_and_begin_alike(speech, tmp_path):
    clips = make_clips(speech, tmp_path, [0.5, 2.0])  # longer than all the speech there is
    short, long = (read_flac(clip.path) for clip in clips)
    assert [len(short), len(long)] == [8_000, 32_000]
    assert np.array_equal(long[:8_000], short)
    assert [clip.n_tokens for clip in clips] == [2, 7]


@pytest.mark.parametrize("share", [1.0, 0.9, 0.7, 0.0])
def test_a_spoilt_draft_has_just_the_share_of_right_tokens(share):
    found = list(range(100, 160))
    draft = spoilt(found, share, vocab_size=160)
    assert sum(a == b for a, b in zip(draft, found, strict=True)) == round(share * 60)
    assert max(draft) < 160
    assert draft == spoilt(found, share, vocab_size=160)


def test_llama_cpps_log_gives_the_times_of_encoder_prefill_and_tokens():
    times = read_times(LOG, CLIP)
    assert (times.encoder_s, times.prefill_s, times.decode_s) == (2.5, 1.0005, 0.8)
    assert times.n_tokens == 17
    assert times.token_s == pytest.approx(0.05)


def test_by_the_processors_clock_the_parts_add_up_to_what_the_run_took():
    times = shared_out(read_times(LOG, CLIP), 2 * 4.3005)
    assert times.total_s == pytest.approx(8.601)
    assert times.encoder_s == pytest.approx(5.0)


@pytest.mark.parametrize(("clock", "is_idle_counted"), [(Clock.WALL, True), (Clock.CPU, False)])
def test_waiting_is_time_on_the_wall_and_none_of_the_processor(clock, is_idle_counted):
    started = clock.now_s()
    time.sleep(0.2)
    assert (clock.now_s() - started > 0.1) is is_idle_counted


def test_llama_cpp_is_run_once_to_load_and_once_for_each_clip(tmp_path):
    program = tmp_path / "llama-mtmd-cli"
    told = tmp_path / "told"
    program.write_text(f'#!/bin/sh\necho "$*" >> {told}\ncat <<END\n{LOG}\nEND\n', encoding="utf-8")
    program.chmod(0o755)
    job = Job(
        "llama.cpp", tmp_path / "a.gguf", [CLIP], 1, Clock.WALL, "USER: <|audio|>write\n ASSISTANT:"
    )
    answer = llama_cpp(replace(job, program=program, projector=tmp_path / "b.gguf"))
    assert answer.clips == [read_times(LOG, CLIP)]
    loading, hearing = told.read_text(encoding="utf-8").splitlines()
    assert "--prompt" not in loading
    assert "--audio 5.flac --prompt write" in hearing
    assert "--n-predict 16" in hearing


def test_a_log_without_times_is_an_error_with_its_end():
    with pytest.raises(PeerError, match="out of memory"):
        read_times("error: out of memory", CLIP)


def test_memory_of_a_process_tells_its_own_from_that_of_files(tmp_path):
    import os

    path = tmp_path / "file"
    path.write_bytes(bytes(64 << 20))
    before = memory_of(os.getpid())
    mapped = np.memmap(path, mode="r")
    assert int(mapped[::4096].sum()) == 0
    with PeakMemory(os.getpid()) as watch:
        own = np.ones(64 << 20, dtype=np.uint8)
        after = memory_of(os.getpid())
    assert own.all()
    assert after.anonymous - before.anonymous > 60 << 20
    assert after.file_backed - before.file_backed > 60 << 20
    assert watch.peak.resident >= before.resident


def test_a_process_that_has_ended_holds_nothing():
    assert memory_of(2**22 + 1) == Memory(0, 0)


def test_nothing_to_measure_is_a_usage_error():
    result = CliRunner().invoke(main, [])
    assert result.exit_code == 2
    assert "--bundle" in result.output
