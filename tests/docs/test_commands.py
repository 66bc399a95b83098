"""What the README and the first-hour page tell a newcomer to type, typed.

Each command runs in the order of the page, in one folder, with one store and a microphone without
hardware; what would go on for ever is interrupted as from the keyboard.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import click
import pytest

from edge_asr.cli import COMMANDS, edge_asr
from edge_asr.cli.transcribe import VOICES
from edge_asr.config import Config
from tests.virtual_microphone import sound_directory, virtual_microphone

__all__ = ["sound_directory", "virtual_microphone"]

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"README": ROOT / "README.md", "first hour": ROOT / "docs/first-hour.md"}
UNTIL_INTERRUPTED = ("run", "serve", "levels")
"""What goes on until Ctrl-C, unless its options say otherwise."""
INTERRUPTED = 130


def typed(page):
    """Yield each command of a page as it is typed, without the remark behind it."""
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.startswith("    ") and not line.startswith("     "):
            yield re.split(r"\s{2,}#? ?(?=[^ ])", line.strip())[0]


def commands(page):
    return [line for line in typed(page) if line.startswith("edge-asr ")]


@dataclass(frozen=True)
class Newcomer:
    """Somebody who types into a shell, in a folder of their own."""

    folder: Path
    environ: dict

    def type(self, line):
        """Run a line until it ends, or for a while; return its status and what it said."""
        process = subprocess.Popen(
            ["bash", "-c", f"exec {line}"] if ">" not in line else ["bash", "-c", line],
            cwd=self.folder,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        first = ""
        words = [word for word in line.split() if word in COMMANDS]
        if words[0] in UNTIL_INTERRUPTED and not {"--wav", "--seconds"} & set(line.split()):
            first = process.stdout.readline()  # it is up, and says so
            time.sleep(1)
            assert process.poll() is None, first + process.communicate()[0]
            process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=120)
        return process.returncode, first + said


@pytest.fixture
def newcomer(tmp_path, bundles, sample, virtual_microphone):
    """Return somebody with a microphone, a few recordings, and the configurations of the pages."""
    program = tmp_path / "bin/edge-asr"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m edge_asr.cli "$@"\n', encoding="ascii")
    program.chmod(0o755)
    folder = tmp_path / "folder"
    folder.mkdir()
    shutil.copy(sample / "en-confbridge-begin-glorious-b.flac", folder / "interview.flac")
    shutil.copy(sample / "en-vm-nobox.flac", folder / "meeting.flac")
    (folder / "archive").mkdir()
    shutil.copy(sample / "en-vm-nobox.flac", folder / "archive")
    for name, clip in (("talk.mp3", "en-ss-noservice"), ("ansage.wav", "de-synthetic-0")):
        convert(sample / f"{clip}.flac", folder / name)
    for page in PAGES.values():
        if found := re.search(r'```yaml title="my.yaml"\n(.*?)```', page.read_text(), re.DOTALL):
            (folder / "my.yaml").write_text(found[1], encoding="utf-8")
    environ = {
        **virtual_microphone.environ,
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "EDGE_ASR_BUNDLES": str(bundles),
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }
    return Newcomer(folder, environ)


def convert(source, target):
    import soundfile

    samples, rate = soundfile.read(source)
    soundfile.write(target, samples, rate)


@pytest.mark.bundle
@pytest.mark.microphone
def test_the_first_hour_goes_as_it_is_told(newcomer):
    said = {}
    for line in commands(PAGES["first hour"]):
        status, said[line] = newcomer.type(line)
        # A machine that builds this has no clock to trust, maybe; doctor says so, and that is all.
        allowed = {0, 1} if line.endswith("doctor") else {0, INTERRUPTED}
        assert status in allowed, f"{line}: {said[line]}"
        assert "Traceback" not in said[line], f"{line}: {said[line]}"
    assert "name:vmic" in said["edge-asr devices"]
    assert "glorious leader" in said["edge-asr run --wav interview.flac"]
    assert "glorious leader" in said['edge-asr log search "conference"']
    assert "glorious leader" in said["edge-asr log show 1"]
    assert "glorious leader" in (newcomer.folder / "log.csv").read_text()
    assert "-->" in (newcomer.folder / "interview.srt").read_text()
    assert "desk is muted since" in said["edge-asr --config my.yaml mute --status"]


@pytest.mark.bundle
@pytest.mark.microphone
def test_the_readmes_first_steps_work_after_something_was_heard(newcomer, bundles):
    status, said = newcomer.type("edge-asr run --wav interview.flac")  # what make run does
    assert status == 0, said
    (newcomer.folder / "my.yaml").write_text("recognition: {languages: [de, en]}\n", "utf-8")
    for line in commands(PAGES["README"]):
        if "bundle prepare" in line:
            continue  # it writes beside the bundles, and takes its time
        if "--speakers" in line and not (bundles / VOICES).is_dir():
            continue  # bundles from before make bundle made this one
        status, said = newcomer.type(line)
        allowed = {0, 1} if line.endswith("doctor") else {0, INTERRUPTED}
        assert status in allowed, f"{line}: {said}"
        assert "Traceback" not in said, f"{line}: {said}"


@pytest.mark.parametrize("page", [*PAGES.values(), *sorted((ROOT / "docs").glob("*.md"))], ids=str)
def test_every_page_names_commands_and_options_that_there_are(page):
    wrong = []
    for line in commands(page):
        known, options = edge_asr, set()
        context = click.Context(edge_asr)
        for word in re.split(r"[|>;]", line)[0].split()[1:]:
            options |= {o for p in known.params for o in (*p.opts, *p.secondary_opts)} | {"--help"}
            if word.startswith("-") and not re.fullmatch(r"-?\d+|-", word):
                if word.partition("=")[0] not in options:
                    wrong.append(f"{line}: {word}")
            elif isinstance(known, click.Group) and known.get_command(context, word):
                known = known.get_command(context, word)
    assert wrong == []


def test_every_target_of_make_that_a_page_names_is_there():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    for page in PAGES.values():
        for line in typed(page):
            if found := re.match(r"(?:sudo )?make (\S+)", line):
                assert found[1] in targets, line


def test_make_bundle_makes_every_bundle_that_a_command_opens_unasked():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    made = re.search(r"for recipe in (.*); do", makefile)[1].split()
    config = Config()
    assert {config.recognition.bundle, config.vad.bundle, VOICES} <= set(made)
