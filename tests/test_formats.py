"""Text with times in every format, exact to the millisecond."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_asr.formats import (
    FORMATS,
    FileTranscript,
    Segment,
    as_json,
    as_srt,
    as_timed_txt,
    as_tsv,
    as_vtt,
    one_line,
    rfc3339,
)
from edge_asr.records import Word

RESULT = FileTranscript(
    file="call.wav",
    language="en",
    duration_s=12.5,
    decode_s=2.5,
    segments=(
        Segment(0.25, 1.5, " Pump seven & <valve> two "),
        Segment(2.0, 3.0, ""),
        Segment(59.9995, 3_725.0004, "are\nleaking --> now"),
    ),
)


def test_txt_is_one_segment_a_line():
    assert FORMATS["txt"](RESULT) == "Pump seven & <valve> two\nare leaking --> now\n"


def test_jsonl_is_one_line_with_the_promised_keys():
    line = FORMATS["jsonl"](RESULT)
    assert line.count("\n") == 1
    row = json.loads(line)
    assert list(row) == ["file", "text", "language", "duration_s", "decode_s", "rtf", "segments"]
    assert row["text"] == "Pump seven & <valve> two are leaking --> now"
    assert row["rtf"] == 0.2
    assert row["segments"][0] == {
        "start_s": 0.25,
        "end_s": 1.5,
        "text": " Pump seven & <valve> two ",
        "heard": None,
        "speaker": None,
        "language": None,
        "avg_logprob": None,
        "ctc_max_entropy": None,
        "flags": [],
        "words": [],
    }


def test_json_has_words_with_their_times_and_how_sure_the_model_was():
    words = (Word("Pump", 0.3, 0.62), Word("seven", 0.7, 1.1, 0.9))
    segment = Segment(0.25, 1.5, "Pump seven", "en", -0.25, 0.5, ("unlike_ctc",), words)
    row = json.loads(as_json(replace(RESULT, segments=(segment,))))
    assert row["segments"][0]["words"][1] == {
        "text": "seven",
        "start_s": 0.7,
        "end_s": 1.1,
        "probability": 0.9,
    }
    assert row["segments"][0]["avg_logprob"] == -0.25
    assert row["segments"][0]["ctc_max_entropy"] == 0.5
    assert row["segments"][0]["flags"] == ["unlike_ctc"]


WORDS = (Word("The", 2.0, 2.1), Word("pump", 2.2, 2.5), Word("leaks", 4.0, 4.4))
TIMED = replace(
    RESULT, segments=(Segment(1.75, 4.7, "The pump leaks.", words=WORDS), RESULT.segments[0])
)


def test_subtitles_are_cut_by_words_where_their_times_are_known():
    assert FORMATS["srt"](TIMED).split("\n\n") == [
        "1\n00:00:02,000 --> 00:00:03,000\nThe pump",
        "2\n00:00:04,000 --> 00:00:04,700\nleaks.",
        "3\n00:00:00,250 --> 00:00:01,500\nPump seven & <valve> two\n",
    ]
    assert "00:00:04.000 --> 00:00:04.700\nleaks.\n" in FORMATS["vtt"](TIMED)


def test_each_word_can_be_a_segment_and_what_has_none_stays_whole():
    assert FORMATS["tsv"](TIMED.in_words).splitlines()[1:] == [
        "2000\t2100\tThe",
        "2200\t2500\tpump",
        "4000\t4400\tleaks",
        "250\t1500\tPump seven & <valve> two",
    ]
    assert as_timed_txt(TIMED.in_words).splitlines()[1] == "     2.20      2.50  pump"
    assert FORMATS["srt"](TIMED.in_words).startswith("1\n00:00:02,000 --> 00:00:02,100\nThe\n")


def test_json_says_the_same_as_jsonl():
    assert json.loads(FORMATS["json"](RESULT)) == json.loads(FORMATS["jsonl"](RESULT))


def test_srt_counts_cues_and_keeps_each_on_its_lines():
    assert FORMATS["srt"](RESULT) == (
        "1\n00:00:00,250 --> 00:00:01,500\nPump seven & <valve> two\n"
        "\n"
        "2\n00:01:00,000 --> 01:02:05,000\nare leaking -> now\n"
    )


def test_vtt_escapes_what_it_would_take_for_markup():
    assert FORMATS["vtt"](RESULT) == (
        "WEBVTT\n"
        "\n"
        "00:00:00.250 --> 00:00:01.500\nPump seven &amp; &lt;valve&gt; two\n"
        "\n"
        "00:01:00.000 --> 01:02:05.000\nare leaking --&gt; now\n"
    )


def test_tsv_has_milliseconds():
    assert FORMATS["tsv"](RESULT) == (
        "start\tend\ttext\n"
        "250\t1500\tPump seven & <valve> two\n"
        "60000\t3725000\tare leaking --> now\n"
    )


def test_a_file_in_which_nothing_is_said_is_well_formed():
    silent = FileTranscript("quiet.wav", None, 3.0, 0.0, ())
    assert FORMATS["txt"](silent) == ""
    assert FORMATS["srt"](silent) == ""
    assert FORMATS["vtt"](silent) == "WEBVTT\n"
    assert FORMATS["tsv"](silent) == "start\tend\ttext\n"
    assert json.loads(FORMATS["jsonl"](silent))["text"] == ""
    assert json.loads(FORMATS["jsonl"](FileTranscript("", None, 0.0, 0.0, ())))["rtf"] == 0.0


@pytest.mark.parametrize(
    ("seconds", "clock"),
    [
        (0.0, "00:00:00,000"),
        (0.0004, "00:00:00,000"),
        (0.0005, "00:00:00,001"),
        (0.001, "00:00:00,001"),
        (59.9994, "00:00:59,999"),
        (59.9995, "00:01:00,000"),
        (3_599.9995, "01:00:00,000"),
        (3_600.0, "01:00:00,000"),
        (86_399.999, "23:59:59,999"),
        (360_000.0, "100:00:00,000"),
    ],
)
def test_times_are_exact(seconds, clock):
    assert as_srt([Segment(seconds, seconds, "x")]).splitlines()[1] == f"{clock} --> {clock}"
    dotted = clock.replace(",", ".")
    assert f"{dotted} --> {dotted}\n" in as_vtt([Segment(seconds, seconds, "x")])


@given(st.floats(0, 1e6), st.text())
def test_whatever_is_said_makes_one_cue_at_most(seconds, text):
    segment = Segment(seconds, seconds + 1, text)
    spoken = bool(one_line(text))
    assert len(re.findall(r"-->", as_srt([segment]))) == spoken
    assert len(re.findall(r"-->", as_vtt([segment]))) == spoken
    assert len(as_tsv([segment]).splitlines()) == 1 + spoken
    for minutes_and_seconds in re.findall(r"(\d\d),\d{3}", as_srt([segment])):
        assert int(minutes_and_seconds) < 60


@pytest.mark.parametrize(
    ("utc_ns", "words"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_512_615_123_999_999, "2026-11-24T09:30:15.123Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (4_102_444_800_000_000_000, "2100-01-01T00:00:00.000Z"),
    ],
)
def test_instants_are_rfc_3339_in_utc(utc_ns, words):
    assert rfc3339(utc_ns) == words


def test_no_text_looks_like_a_time_line_of_srt():
    assert as_srt([Segment(0, 1, "a ----> b")]).count("-->") == 1


def test_control_characters_do_not_reach_a_terminal():
    assert one_line("a\x1b[31m\tb\r\nc\u2028d\u202ee") == "a [31m b c d e"


def test_who_spoke_is_written_where_it_is_known():
    segments = (
        Segment(0.0, 1.0, "Stop <now>.", speaker="S1"),
        Segment(2.0, 3.0, "Why?", speaker="S2"),
        Segment(4.0, 5.0, "Hm."),
    )
    result = FileTranscript("a.wav", "en", 6.0, 0.1, segments)

    assert FORMATS["txt"](result) == "S1: Stop <now>.\nS2: Why?\nHm.\n"
    assert "<v S1>Stop &lt;now&gt;.\n" in FORMATS["vtt"](result)
    assert "\nS2: Why?\n" in FORMATS["srt"](result)
    speakers = [each["speaker"] for each in json.loads(FORMATS["json"](result))["segments"]]
    assert speakers == ["S1", "S2", None]
    assert result.text == "Stop <now>. Why? Hm."
