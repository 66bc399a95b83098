"""``edge-asr log``, as it is called."""

import contextlib
import csv
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys

import pytest
from click.testing import CliRunner

from edge_asr import clock
from edge_asr.cli import edge_asr
from edge_asr.entries import COLUMNS
from edge_asr.errors import StoreError
from edge_asr.records import EndReason, Gap, GapKind, Recognition, Task, Word
from edge_asr.store import Store
from tests.store.speech import noise, say, write_down

KEYS = [
    "utterance_id",
    "version",
    "uid",
    "text",
    "language",
    "language_probability",
    "source",
    "start_utc",
    "start_utc_corrected",
    "end_utc",
    "duration_s",
    "bundle",
    "bundle_sha256",
    "request_sha256",
    "parent_version",
    "is_shown",
    "decode_s",
    "rtf",
    "task",
    "avg_logprob",
    "ctc_max_entropy",
    "flags",
    "words",
    "end_reason",
    "clock_quality",
    "audio_path",
    "audio_sha256",
]
HOUR_NS = 3_600 * 10**9


@pytest.fixture
def state(tmp_path):
    """Fill a store: yesterday's utterance, and two of today, the last one corrected."""
    directory = tmp_path / "state"
    now = clock.now()
    with Store.open(directory) as store:
        old = say(store, "press", 16_000, now.shifted(-24 * HOUR_NS))
        write_down(store, old, "Pump seven is leaking.")
        write_down(store, say(store, "gate", 8_000, now), "Bitte\t=die Polizei rufen", "de")
        last = say(store, "gate", 8_000, now.shifted(3 * 10**9))
        write_down(store, last, "Pumb eight")
        write_down(store, last, "Pump eight", bundle="base")
        store.gaps.add("gate", Gap(GapKind.OVERFLOW, now.shifted(10**9), 0.5, "late"))
    return directory


def call(state, *arguments):
    result = CliRunner().invoke(edge_asr, ["--state", str(state), "log", *arguments])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result.output


def rows(output):
    return [json.loads(line) for line in output.splitlines()]


def test_the_export_has_one_object_for_each_utterance_with_the_promised_keys(state):
    exported = rows(call(state, "export", "--format", "jsonl"))
    assert [list(row) for row in exported] == [KEYS] * 3
    first = exported[0]
    assert (first["utterance_id"], first["version"], first["source"]) == (1, 1, "press")
    assert (first["duration_s"], first["decode_s"], first["rtf"]) == (1.0, 0.25, 0.25)
    assert first["flags"] == []
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", first["start_utc"])
    assert first["end_utc"] > first["start_utc"]
    assert (state / first["audio_path"]).is_file()
    assert [row["text"] for row in exported][-1] == "Pump eight"


def test_all_versions_are_exported_when_asked(state):
    exported = rows(call(state, "export", "--all-versions"))
    assert [(row["utterance_id"], row["version"]) for row in exported] == [
        (1, 1),
        (2, 1),
        (3, 1),
        (3, 2),
    ]


def test_the_export_is_narrowed_by_time_and_source(state):
    assert len(rows(call(state, "export", "--since", "2h"))) == 2
    assert len(rows(call(state, "export", "--until", "2h"))) == 1
    assert len(rows(call(state, "export", "--source", "gate"))) == 2
    assert len(rows(call(state, "export", "--since", "2100-01-01"))) == 0
    assert len(rows(call(state, "export", "--since", "2020-01-01T00:00+02:00"))) == 3


def test_csv_is_what_a_spreadsheet_reads(state):
    table = list(csv.DictReader(io.StringIO(call(state, "export", "--format", "csv"))))
    assert list(table[0]) == KEYS == list(COLUMNS)
    assert [row["text"] for row in table][1] == "Bitte\t=die Polizei rufen"
    assert table[0]["flags"] == ""


def test_txt_is_the_text_alone(state):
    lines = call(state, "export", "--format", "txt").splitlines()
    assert lines == ["Pump seven is leaking.", "Bitte =die Polizei rufen", "Pump eight"]


def test_subtitles_begin_with_the_first_utterance(state):
    subtitles = call(state, "export", "--format", "srt", "--source", "gate")
    assert subtitles == (
        "1\n00:00:00,000 --> 00:00:00,500\nBitte =die Polizei rufen\n"
        "\n"
        "2\n00:00:03,000 --> 00:00:03,500\nPump eight\n"
    )


@pytest.mark.parametrize("form", ["jsonl", "csv", "txt", "srt"])
def test_an_export_of_nothing_is_well_formed(state, form):
    output = call(state, "export", "--format", form, "--source", "nobody")
    assert output == (",".join(KEYS) + "\n" if form == "csv" else "")


def test_a_search_in_a_pipe_has_one_line_for_each_find_newest_first(state):
    lines = call(state, "search", "pump").splitlines()
    assert [line.split("\t")[0] for line in lines] == ["3", "1"]
    assert lines[1].endswith("press\ten\tPump seven is leaking.\ttiny")


def test_a_search_answers_in_json_when_asked(state):
    (found,) = rows(call(state, "search", '"pump seven" leak*', "--format", "jsonl"))
    assert list(found) == KEYS
    assert rows(call(state, "search", "pump", "--since", "2h", "--format", "jsonl"))[0][
        "text"
    ].endswith("eight")
    assert call(state, "search", "polizei", "--language", "en") == ""
    assert len(call(state, "search", "pump", "--limit", "1").splitlines()) == 1


def test_a_search_for_nonsense_finds_nothing_and_is_no_error(state):
    assert call(state, "search", '"*( AND') == ""


def test_a_time_that_is_none_is_a_usage_error(state):
    result = CliRunner().invoke(
        edge_asr, ["--state", str(state), "log", "export", "--since", "yesteryear"]
    )
    assert result.exit_code == 2
    assert "write 2h, 3d, 2026-11-24" in result.output


def test_tail_prints_the_last_ones_oldest_first(state):
    lines = call(state, "tail", "-n", "2").splitlines()
    assert [line.split("\t")[0] for line in lines] == ["2", "3"]
    assert "Bitte =die Polizei" in lines[0]  # one line, one utterance


def test_show_tells_all_about_one_utterance(state):
    shown = call(state, "show", "3")
    assert "Pumb eight" in shown
    assert "Pump eight" in shown
    assert "version 2  base" in shown
    assert "overflow\t0.500 s\tlate" in shown
    uid = re.search(r"utterance\s+3\s+(\S+)", shown)[1]
    assert str(state / "audio") in shown
    assert call(state, "show", uid) == shown


def test_words_and_how_sure_the_model_was_are_exported_and_shown(state):
    with Store.open(state) as store:
        words = (Word("Pumpe", 0.1, 0.42), Word("läuft", 0.5, 0.98))
        heard = Recognition(
            "Pumpe läuft", "de", 0.75, Task.TRANSCRIBE, 0.2, -0.25, ("odd",), words, 1.5
        )
        utterance = say(store)
        store.transcripts.add(
            utterance.utterance_id, heard, bundle="b", bundle_sha256="0" * 64, created_utc_ns=0
        )
    row = rows(call(state, "export"))[-1]
    expected = {"language_probability": 0.75, "avg_logprob": -0.25, "ctc_max_entropy": 1.5}
    assert {name: row[name] for name in expected} == expected
    assert row["words"] == [
        {"text": "Pumpe", "start_s": 0.1, "end_s": 0.42, "probability": None},
        {"text": "läuft", "start_s": 0.5, "end_s": 0.98, "probability": None},
    ]
    table = list(csv.DictReader(io.StringIO(call(state, "export", "--format", "csv"))))
    assert json.loads(table[-1]["words"]) == row["words"]
    shown = call(state, "show", "4")
    assert "words, from second: Pumpe 0.10, läuft 0.50" in shown
    assert (
        "probability of the language 0.75, mean log-probability of the text -0.25, "
        "highest CTC entropy (nats) 1.50"
    ) in shown


def test_show_tail_and_gaps_are_read_by_programs_too(state):
    (shown,) = rows(call(state, "show", "3", "--format", "jsonl"))
    assert [version["text"] for version in shown["versions"]] == ["Pumb eight", "Pump eight"]
    assert shown["standing_version"] == 2
    assert [gap["kind"] for gap in shown["gaps"]] == ["overflow"]
    last = rows(call(state, "tail", "-n", "2", "--format", "jsonl"))
    assert [list(row) for row in last] == [KEYS] * 2
    assert last[0]["text"] == "Bitte\t=die Polizei rufen"
    (gap,) = rows(call(state, "gaps", "--format", "jsonl"))
    assert (gap["source"], gap["duration_s"], gap["detail"]) == ("gate", 0.5, "late")


def test_show_tells_why_an_utterance_has_no_text(state):
    with Store.open(state) as store:
        utterance = say(store)
        for _ in range(3):
            store.transcripts.record_failure(utterance.utterance_id, "too strange")
    assert "not tried again after 3 tries: too strange" in call(state, "show", "4")


@pytest.mark.parametrize("name", ["99", "nonsense", "99999999999999999999999", "\u0663\u00b2"])
def test_an_utterance_that_is_not_there_is_one_sentence(state, name):
    with pytest.raises(StoreError, match="there is no utterance"):
        call(state, "show", name)


def test_gaps_are_listed(state):
    assert call(state, "gaps").rstrip("\n").endswith("gate\toverflow\t0.500 s\tlate")
    assert call(state, "gaps", "--source", "press") == ""
    assert call(state, "gaps", "--until", "2h") == ""


@pytest.mark.parametrize(
    "command", [["tail"], ["show", "1"], ["search", "x"], ["export"], ["gaps"]]
)
def test_without_a_store_there_is_one_sentence(tmp_path, command):
    with pytest.raises(StoreError, match="nothing was recorded here yet"):
        call(tmp_path / "none", *command)
    assert not (tmp_path / "none").exists()


def start(state, *arguments, stdout=subprocess.PIPE):
    return subprocess.Popen(
        [sys.executable, "-m", "edge_asr.cli", "--state", str(state), "log", *arguments],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_tail_follows_what_is_written_meanwhile(state):
    process = start(state, "tail", "-n", "1", "-f")
    assert "Pump eight" in process.stdout.readline()
    with Store.open(state) as store:
        recording = store.utterances.begin("gate", clock.now())
        recording.append(noise(500))
        utterance = store.utterances.close(recording, n_samples=500, reason=EndReason.PAUSE)
        write_down(store, utterance, "one more")
        assert process.stdout.readline().rstrip("\n").endswith("one more\ttiny")
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 130
    assert "Traceback" not in process.stderr.read()
    process.stdout.close()
    process.stderr.close()


def test_a_reader_that_goes_away_is_no_error(state):
    with Store.open(state) as store:
        for n in range(400):
            write_down(store, store.utterances.find(1), "word " * 100, bundle=str(n))
    process = start(state, "export", "--all-versions")
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(10) in {0, 1}  # click makes it 1
    assert process.stderr.read() == ""
    process.stderr.close()


def test_a_terminal_gets_colours_and_no_control_characters_of_the_text(state):
    with Store.open(state) as store:
        write_down(store, say(store, n_samples=200), "red \x1b[31malert [bold]x[/bold]")
    ours, theirs = pty.openpty()
    process = start(state, "tail", stdout=theirs)
    os.close(theirs)
    output = b""
    with contextlib.suppress(OSError):  # how Linux tells the end of a terminal
        while piece := os.read(ours, 4096):
            output += piece
    os.close(ours)
    assert process.wait(10) == 0
    process.stderr.close()
    assert b"\x1b[36mgate" in output
    assert b"\x1b[31m" not in output
    assert b"[bold]x[/bold]" in output
