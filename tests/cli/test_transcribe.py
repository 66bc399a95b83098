"""``transcribe``: what it prints of what was recognized."""

import json
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

from edge_asr.cli import transcribe as module
from edge_asr.config import parse_config
from edge_asr.errors import RequestError
from edge_asr.formats import FileTranscript, Segment
from edge_asr.records import Word

WORDS = (Word("pump", 0.4, 0.8), Word("seven", 0.9, 1.3))
SEGMENT = Segment(0.25, 1.5, "pump seven", "en", words=WORDS)


@pytest.fixture
def run(monkeypatch):
    def transcribe(*arguments, timestamps=True, config=""):
        can = SimpleNamespace(timestamps=timestamps)
        bundle = SimpleNamespace(
            name="small",
            manifest=SimpleNamespace(capabilities=can),
            check=lambda _request: None,
        )
        recognizer = SimpleNamespace(bundle=bundle)
        context = SimpleNamespace(
            config=parse_config(config),
            bundle_name=None,
            open_vad_bundle=lambda: None,
            open_recognizer=lambda: recognizer,
        )
        found = FileTranscript("call.wav", "en", 2.0, 0.1, (SEGMENT,))
        transcriber = SimpleNamespace(transcribe=lambda *_, **__: found)
        monkeypatch.setattr(module, "open_vad", lambda _bundle: None)
        monkeypatch.setattr(module, "FileTranscriber", lambda *_: transcriber)
        return CliRunner().invoke(module.transcribe, ["call.wav", *arguments], obj=context)

    return transcribe


def test_the_text_is_printed_and_on_request_each_word_with_its_times(run):
    assert run().stdout == "pump seven\n"
    assert run("--words").stdout == ("     0.40      0.80  pump\n     0.90      1.30  seven\n")
    assert run("--words", "--format", "tsv").stdout.splitlines()[2] == "900\t1300\tseven"


@pytest.mark.parametrize("options", [[], ["--words"]])
def test_json_has_the_words_with_and_without_asking(run, options):
    segment = json.loads(run("--format", "json", *options).stdout)["segments"][0]
    assert segment["text"] == "pump seven"
    assert [word["text"] for word in segment["words"]] == ["pump", "seven"]


def test_a_bundle_without_word_times_says_so_in_a_sentence(run):
    result = run("--words", timestamps=False)
    assert isinstance(result.exception, RequestError)
    assert str(result.exception).startswith("bundle small does not say when each word was said;")


def test_corrections_and_numerals_are_applied_and_json_has_what_was_heard(run):
    rules = "corrections: [{pattern: pump, replacement: P}]"

    assert run("--numerals", config=rules).stdout == "P 7\n"
    assert run(config=rules).stdout == "P seven\n"
    result = json.loads(run("--format", "json", config=rules).stdout)
    (segment,) = result["segments"]
    assert (result["text"], segment["text"], segment["heard"]) == (
        "P seven",
        "P seven",
        "pump seven",
    )


@pytest.mark.parametrize("given", ["0", "33", "-1", "two", "1.5"])
def test_a_number_of_speakers_that_makes_no_sense_is_refused(run, given):
    result = run("--speakers", given)
    assert result.exit_code == 2
    assert "write auto, or a number from 1 to 32" in result.stderr
