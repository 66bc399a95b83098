"""Real speech, played into a virtual microphone, heard through PyAudio, found in the database."""

import json
import signal
import sqlite3

import jiwer
import pytest
from whisper_normalizer.english import EnglishTextNormalizer

pytestmark = [pytest.mark.bundle, pytest.mark.microphone, pytest.mark.usefixtures("bundles")]

normalize = EnglishTextNormalizer()


def wait_for(lines, predicate):
    """Read events until one is as wanted, and return it."""
    for line in lines:
        event = json.loads(line)
        if predicate(event):
            return event
    raise AssertionError("the program ended before it said that")


def test_what_is_said_into_the_microphone_is_in_the_database(program, sample, virtual_microphone):
    listen = program.start("listen", "--format", "jsonl", **virtual_microphone.variables)
    wait_for(listen.stdout, lambda event: event["event"] == "level")
    virtual_microphone.play(sample / "demo.flac").wait(120)
    wait_for(listen.stdout, lambda event: event["event"] == "level" and not event["speaking"])
    listen.send_signal(signal.SIGTERM)
    listen.communicate(timeout=20)
    assert listen.returncode == 0

    recognized = program.run("--bundle", "whisper-tiny.en", "recognize", "--until-idle")
    assert recognized.returncode == 0, recognized.stderr
    with sqlite3.connect(f"file:{program.state}/log.sqlite3?mode=ro", uri=True) as database:
        rows = database.execute(
            "SELECT t.text, u.source FROM transcripts t JOIN utterances u ON u.id = t.utterance_id"
            " ORDER BY u.start_utc_ns",
        ).fetchall()
    assert {source for _, source in rows} == {"mic"}
    heard = normalize(" ".join(text for text, _ in rows))
    said = normalize((sample / "demo.txt").read_text(encoding="utf-8"))
    assert jiwer.wer(said, heard) < 0.15


def test_run_hears_transcribes_and_ends_in_good_order(program, sample, virtual_microphone):
    run = program.start("--bundle", "whisper-tiny.en", "run", **virtual_microphone.variables)
    try:
        while "listening" not in run.stderr.readline():
            pass
        player = virtual_microphone.play(sample / "demo.flac")
        first = run.stdout.readline()
        player.kill()
        player.wait()
        run.send_signal(signal.SIGINT)
        _, errors = run.communicate(timeout=40)
    finally:
        run.kill()
    assert run.returncode == 0, errors
    assert "conference" in first.lower()
    assert any("conference" in row["text"].lower() for row in program.export())


def test_without_a_microphone_run_says_so_and_plays_the_clip(program, sample, sound_directory):
    nothing = sound_directory / "asound.conf"
    nothing.write_text("")
    result = program.run(
        "--bundle",
        "whisper-tiny.en",
        "run",
        "--without-microphone",
        sample / "demo.flac",
        timeout=200,
        ALSA_CONFIG_PATH=str(nothing),
        PULSE_RUNTIME_PATH=str(sound_directory),
    )
    assert result.returncode == 0, result.stderr
    assert "No microphone" in result.stderr
    said = normalize((sample / "demo.txt").read_text(encoding="utf-8"))
    assert jiwer.wer(said, normalize(" ".join(row["text"] for row in program.export()))) < 0.15
    assert len(result.stdout.splitlines()) == len(program.export())
