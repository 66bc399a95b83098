"""What shells complete, and the manual page: both are made from the commands themselves."""

import os
import shutil
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from edge_asr.cli import COMMANDS, edge_asr
from edge_asr.cli.completion import SHELLS
from edge_asr.cli.manual import manual, write


def completed(*words):
    """Return what bash is told when the last of ``words`` is to be completed."""
    environ = {
        **os.environ,
        "_EDGE_ASR_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(("edge-asr", *words)),
        "COMP_CWORD": str(len(words)),
    }
    answer = subprocess.run(
        [sys.executable, "-m", "edge_asr.cli"],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env=environ,
    )
    return [line.partition(",")[2] for line in answer.stdout.splitlines()]


def test_commands_their_options_and_the_values_of_options_are_completed():
    assert completed("re") == ["recognize", "retranscribe"]
    assert completed("log", "ta") == ["tail"]
    assert completed("log", "export", "--form") == ["--format"]
    assert "srt" in completed("transcribe", "--format", "s")


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_takes_its_script(shell, tmp_path):
    result = CliRunner().invoke(edge_asr, ["completion", shell])
    assert result.exit_code == 0
    assert "_EDGE_ASR_COMPLETE" in result.output
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(result.output, encoding="utf-8")
    subprocess.run([shell, "-n", tmp_path / "script"], check=True)


def test_bash_asks_the_program_when_tab_is_pressed(tmp_path):
    """Run the script's own function, as bash does, with the program on its PATH."""
    program = tmp_path / "edge-asr"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m edge_asr.cli "$@"\n', encoding="ascii")
    program.chmod(0o755)
    typed = (
        'eval "$(edge-asr completion bash)"; COMP_WORDS=(edge-asr log led) COMP_CWORD=2; '
        '_edge_asr_completion edge-asr; echo "${COMPREPLY[@]}"'
    )
    environ = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    answer = subprocess.run(
        ["bash", "-c", typed], capture_output=True, text=True, check=True, env=environ
    )
    assert answer.stdout.strip() == "ledger"


def test_the_manual_page_has_every_command_and_the_meaning_of_its_options():
    page = manual()
    for name in COMMANDS:
        assert f'.SS "edge\\-asr {name}' in page
    assert '.SS "edge\\-asr log search' in page
    assert "\b" not in page
    log = edge_asr.get_command(click.Context(edge_asr), "log")
    (limit,) = (p for p in log.commands["search"].params if p.name == "language")
    assert limit.help in page


def test_a_formatter_of_manual_pages_finds_no_fault_in_it():
    if shutil.which("groff") is None or shutil.which("man") is None:
        pytest.skip("groff and man are not installed")
    shown = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", "-z"],
        input=manual(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stderr == ""
    read = subprocess.run(
        ["man", "-l", "-"], input=manual(), capture_output=True, text=True, check=True
    ).stdout
    assert "edge-asr log search '\"pump seven\" leak*'" in read  # typed as it is printed


def test_the_page_and_the_scripts_are_written_together(tmp_path):
    assert CliRunner().invoke(write, [str(tmp_path / "man")]).exit_code == 0
    names = {path.name for path in (tmp_path / "man").iterdir()}
    assert names == {"edge-asr.1", *(f"edge-asr.{shell}" for shell in SHELLS)}
