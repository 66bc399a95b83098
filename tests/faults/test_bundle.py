"""A model with a flipped byte is never used, and one sentence says which file it is."""

import random
import shutil

import pytest

from tests.faults.board import BUNDLE, rows

pytestmark = [pytest.mark.faults, pytest.mark.bundle, pytest.mark.timeout(0)]


def flip(path, offset):
    with path.open("r+b") as file:
        file.seek(offset)
        [byte] = file.read(1)
        file.seek(offset)
        file.write(bytes([byte ^ 0x10]))


def test_a_flipped_byte_is_refused(board, brief, bundles, tally, times):
    row = tally("one byte of a model flipped: header, weights, tail, tokenizer, manifest")
    assert board.listen("--wav", brief, "--fast").join() == 0
    copy = board.directory / "bundles" / BUNDLE
    shutil.copytree(bundles / BUNDLE, copy)
    shutil.copytree(bundles / "silero-vad", copy.parent / "silero-vad")
    board.environ["EDGE_ASR_BUNDLES"] = str(copy.parent)
    rng = random.Random(5)
    files = sorted((path for path in copy.iterdir()), key=lambda path: -path.stat().st_size)
    places = [(path, where) for path in files for where in ("header", "middle", "tail")]
    for i in range(times(3, 4 * len(places))):
        path, where = places[(i * 4) % len(places)] if i < 3 else places[i % len(places)]
        size = path.stat().st_size
        low, high = {"header": (0, 0.001), "middle": (0.001, 0.999), "tail": (0.999, 1)}[where]
        offset = min(size - 1, rng.randrange(int(low * size), int(high * size) + 1))
        flip(path, offset)
        result = board.run("recognize", "--until-idle")
        doctor = board.doctor()
        flip(path, offset)
        row.injected += 1
        row.lost += result.returncode == 0
        assert result.returncode == 1, f"{path.name} at {offset} was used"
        assert "Traceback" not in result.stderr
        assert len(result.stderr.strip().splitlines()) == 1, result.stderr
        assert copy.name in result.stderr
        assert "bundles" in doctor, doctor
    assert all(not found.texts for found in rows(board.state))
    row.seen = "refused each time with one sentence, and by doctor"
    board.finish()
    assert all(found.texts for found in rows(board.state))


def test_a_flipped_byte_of_the_speech_detector_is_refused(board, brief, bundles, tally, times):
    """Nobody would notice a detector that hears no speech: the log would only be empty."""
    row = tally("one byte of the speech detector flipped: header, weights, tail")
    copy = board.directory / "bundles" / "silero-vad"
    for name in (BUNDLE, "silero-vad"):
        shutil.copytree(bundles / name, copy.parent / name)
    board.environ["EDGE_ASR_BUNDLES"] = str(copy.parent)
    rng = random.Random(6)
    (graph,) = copy.glob("*.onnx")
    size = graph.stat().st_size
    for _ in range(times(1, 5)):
        for offset in (rng.randrange(64), rng.randrange(64, size - 64), size - 1):
            flip(graph, offset)
            process = board.listen("--wav", brief, "--fast")
            status, findings = process.join(), board.doctor()
            flip(graph, offset)
            row.injected += 1
            assert status == 1, f"{graph.name} at {offset} was used"
            assert process.events == []
            assert "silero-vad" in str(findings["bundles"]), findings
    said = board.said_on_stderr()
    assert "Traceback" not in said
    assert len(said.strip().splitlines()) == row.injected
    row.seen = "refused each time with one sentence, and by doctor"
    assert board.listen("--wav", brief, "--fast").join() == 0
    assert rows(board.state)
