"""What is asked of a recognizer: options over configuration."""

import click
import pytest

from edge_asr.cli.asked import request_from
from edge_asr.records import Drafting, Drafts, Request, Task

CONFIGURED = Request(
    Task.TRANSLATE, "de", (), "fr", ("pump",), True, Drafting(Drafts.FAST, 3.0, 0.1)
)


def test_without_options_it_is_what_is_configured():
    assert request_from(CONFIGURED) == CONFIGURED


def test_options_win_over_the_configuration(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("\ufeffSiemens S7\n\n  Kanban  \n", encoding="utf-8")
    asked = request_from(
        CONFIGURED,
        languages="en, fr",
        task="transcribe",
        target_language="es",
        keywords="valve, ",
        keywords_file=words,
        punctuated=False,
        drafts="off",
    )
    assert asked == Request(
        Task.TRANSCRIBE,
        None,
        ("en", "fr"),
        "es",
        ("valve", "Siemens S7", "Kanban"),
        False,
        Drafting(Drafts.OFF, 3.0, 0.1),
    )


def test_a_file_of_keywords_that_is_no_text_is_one_sentence(tmp_path):
    (tmp_path / "words").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(click.UsageError, match="not a file of UTF-8 text, one keyword a line"):
        request_from(Request(), keywords_file=tmp_path / "words")


def test_the_bundle_may_be_named_after_the_command_too(program):
    result = program.run("transcribe", "call.wav", "--bundle", "none-such")
    assert result.returncode == 1
    assert "none-such" in result.stderr
    assert "Traceback" not in result.stderr
