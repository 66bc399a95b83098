"""``log polish`` and ``retranscribe``: new versions of what is stored."""

import pytest

from edge_asr.store import Store
from tests.conftest import ROOT
from tests.store.speech import say, write_down
from tests.text_checkpoint import write_text_checkpoint

SMOL = ROOT / "bundles" / "smollm2-135m-instruct"


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Return a text bundle of random weights, without a gate."""
    from edge_asr.bundle import Capabilities
    from export.bundle_writer import Contents, write_bundle
    from export.text_manifest import text_model
    from export.text_onnx import export_graph

    folder = tmp_path_factory.mktemp("tiny")
    (folder / "checkpoint").mkdir()
    checkpoint = write_text_checkpoint(folder / "checkpoint")
    export_graph(checkpoint, folder / "float")
    files = {
        "model.onnx": folder / "float" / "model.onnx",
        "tokenizer.json": checkpoint / "tokenizer.json",
    }
    facts = {"source": {}, "export": {}, "quality": {}, "capabilities": Capabilities()}
    contents = Contents(
        name="tiny-text",
        family="text",
        licence="CC0-1.0",
        files=files,
        model=text_model(checkpoint),
        **facts,
    )
    return write_bundle(contents, folder / "tiny-text").directory


@pytest.fixture
def spoken(program):
    """Return the program with three transcripts in its store."""
    with Store.open(program.state) as store:
        for source in ("gate", "gate", "press"):
            write_down(store, say(store, source), "the pump is leaking again")
    return program


@pytest.mark.export
def test_stored_transcripts_are_polished_once_and_only_those_that_were_chosen(spoken, tiny):
    polish = ("log", "polish", "--bundle", tiny)
    assert spoken.run(*polish, "--dry-run").stdout.count("- the pump is leaking again\n+ ") == 3
    assert {row["version"] for row in spoken.export()} == {1}

    chosen = spoken.run(*polish, "--source", "gate", "--limit", 1)
    assert chosen.returncode == 0, chosen.stderr
    assert "1 versions added" in chosen.stderr
    assert "1 utterances left to do" in chosen.stderr
    rest = spoken.run(*polish)
    assert "2 versions added" in rest.stderr
    assert "0 versions added" in spoken.run(*polish).stderr
    with Store.open(spoken.state, readonly=True) as store:
        for utterance_id in (1, 2, 3):
            _, polished = store.transcripts.versions(utterance_id)
            assert (polished.bundle, polished.parent_version) == ("tiny-text", 1)
            # Random weights answer something else, which the guard sees.
            assert not polished.is_shown
    assert "kept but not shown" in spoken.run("log", "show", 1).stdout
    assert spoken.run("log", "verify").returncode == 0


@pytest.mark.export
def test_a_prompt_without_a_place_for_the_transcript_is_refused(spoken, tiny, tmp_path):
    prompt = tmp_path / "prompt.txt"
    prompt.write_text("Rewrite it.", encoding="ascii")
    result = spoken.run("log", "polish", "--bundle", tiny, "--prompt", prompt)
    assert result.returncode == 78
    assert "needs {text}" in result.stderr


@pytest.mark.export
def test_a_text_model_does_not_transcribe(spoken, tiny):
    result = spoken.run("retranscribe", "--bundle", tiny)
    assert result.returncode == 1
    assert "does not transcribe" in result.stderr


@pytest.mark.export
@pytest.mark.usefixtures("bundles")
def test_the_configured_second_pass_runs_in_the_loop(spoken, tiny, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text(
        f"recognition: {{bundle: whisper-tiny.en, languages: [en]}}\n"
        f"second_pass: {{bundle: {tiny}, show_flagged: true, max_temperature_c: 0}}\n",
        encoding="utf-8",
    )
    result = spoken.run("--config", config, "recognize", "--until-idle", "--format", "jsonl")
    assert result.returncode == 0, result.stderr
    assert result.stdout.count('"bundle": "tiny-text"') == 3
    assert {row["bundle"] for row in spoken.export()} == {"tiny-text"}


def test_retranscribing_needs_a_bundle_by_name(spoken):
    result = spoken.run("retranscribe")
    assert result.returncode == 2
    assert "--bundle" in result.stderr


@pytest.mark.bundle
@pytest.mark.usefixtures("bundles")
def test_what_is_stored_is_heard_again_by_another_bundle_once(spoken):
    again = ("retranscribe", "--bundle", "whisper-tiny.en", "--language", "en")
    result = spoken.run(*again, "--source", "press")
    assert result.returncode == 0, result.stderr
    assert "1 versions added" in result.stderr
    assert "0 versions added" in spoken.run(*again, "--source", "press").stderr
    with Store.open(spoken.state, readonly=True) as store:
        _, second = store.transcripts.versions(3)
        assert (second.bundle, second.parent_version) == ("whisper-tiny.en", None)


@pytest.mark.bundle
@pytest.mark.usefixtures("bundles")
def test_what_is_heard_again_is_corrected_again(program, sample, tmp_path):
    config = tmp_path / "config.yaml"
    config.write_text("corrections: [{pattern: mailbox, replacement: K-17}]", encoding="ascii")
    heard = program.run("listen", "--wav", sample / "en-vm-nobox.flac", "--fast")
    assert heard.returncode == 0, heard.stderr

    again = ("retranscribe", "--bundle", "whisper-tiny.en", "--language", "en")
    with Store.open(program.state) as store:
        write_down(store, store.transcripts.pending(), "something else")
    result = program.run("--config", config, *again)

    assert result.returncode == 0, result.stderr
    with Store.open(program.state, readonly=True) as store:
        first, second, third = store.transcripts.versions(1)
    assert first.recognition.text == "something else"
    assert "mailbox" in second.recognition.text.lower()
    assert (third.bundle, third.parent_version) == ("rules", 2)
    assert "K-17" in third.recognition.text


@pytest.mark.bundle
def test_smollm2_punctuates_a_plain_sentence(program):
    if not (SMOL / "manifest.json").is_file():
        pytest.skip("no smollm2-135m-instruct; make it with: make bundle-text")
    with Store.open(program.state) as store:
        write_down(store, say(store), "the person you are calling is not at their desk")
    result = program.run("log", "polish", "--bundle", SMOL)
    assert result.returncode == 0, result.stderr
    (row,) = program.export()
    assert row["bundle"] == "smollm2-135m-instruct"
    assert row["text"].startswith("The person you are calling")
    assert row["text"].endswith(".")
