"""``python -m export`` from a checkpoint folder to a bundle that a device runs."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from edge_asr.audio import read_flac
from edge_asr.bundle import open_bundle, sha256_of
from edge_asr.recognizers import open_recognizer
from edge_asr.records import Request, Task

pytestmark = pytest.mark.export

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def exported(shared_workstation, checkpoint):
    """Return the result of one whole export to int8, and the workstation."""
    recipe = shared_workstation.recipe()
    result = shared_workstation.export(recipe, "--from", checkpoint)
    assert result.exit_code == 0, result.stderr
    return result, shared_workstation, recipe


def test_the_bundle_opens_and_recognizes(exported, speech_folder):
    _, workstation, _ = exported
    bundle = open_bundle(workstation.out / "tiny", family="whisper")
    recognizer = open_recognizer(bundle, n_threads=1)
    waveform = read_flac(speech_folder / "1.flac")

    found = recognizer.transcribe(waveform, Request(language="de"))

    assert found.language == "de"
    assert found.text
    assert recognizer.transcribe(waveform, Request(task=Task.TRANSLATE)).language in {"en", "de"}


def test_the_manifest_says_what_was_built_from_what(exported, checkpoint):
    _, workstation, _ = exported
    manifest = open_bundle(workstation.out / "tiny").manifest

    assert manifest.source["kind"] == "folder"
    weights = sha256_of(checkpoint / "model.safetensors")
    assert manifest.source["sha256"]["model.safetensors"] == weights
    assert manifest.source["pinned"] is False
    assert manifest.export["quantization"]["scheme"] == "int8"
    assert manifest.export["embedding"] == "float16, lossless"
    assert manifest.model["languages"] == {"en": 258, "de": 259}
    assert manifest.model["n_layers"] == 3
    assert manifest.model["alignment_heads"] == [[1, 0]]
    assert manifest.capabilities.languages == ["en", "de"]
    assert manifest.capabilities.translation_targets == ["en"]
    assert set(manifest.files) == {
        *("encoder_model.onnx", "decoder_model_merged.onnx", "tokenizer.json", "LICENSE"),
    }


def test_the_manifest_has_the_quality_report_and_its_limits(exported):
    _, workstation, _ = exported
    quality = open_bundle(workstation.out / "tiny").manifest.quality

    assert quality["n_clips"] == 3, "the French clip is beyond this model"
    assert quality["text_identical"]["float"] == 1.0
    assert quality["largest_difference"]["float"]["logits"] < 0.01
    assert set(quality["wer"]) == {"original", "float", "quantized"}
    assert quality["limits"]["float_text_identical"] == 0.98


def test_weights_that_the_recipe_does_not_pin_are_told(exported, checkpoint):
    result, _, _ = exported

    told = f"model.safetensors {sha256_of(checkpoint / 'model.safetensors')}"
    assert "no hash was pinned" in result.stderr
    assert told in result.stderr


def test_a_second_run_changes_nothing_and_is_quick(exported, checkpoint):
    _, workstation, recipe = exported
    before = (workstation.out / "tiny" / "manifest.json").read_bytes()
    started = time.perf_counter()

    result = workstation.export(recipe, "--from", checkpoint)

    assert result.exit_code == 0
    assert "tiny: unchanged" in result.stderr
    assert time.perf_counter() - started < 2.0
    assert (workstation.out / "tiny" / "manifest.json").read_bytes() == before


def test_a_damaged_bundle_is_built_again_from_what_is_done(exported, checkpoint):
    _, workstation, recipe = exported
    target = workstation.out / "tiny" / "LICENSE"
    target.write_text("altered", encoding="utf-8")

    result = workstation.export(recipe, "--from", checkpoint)

    assert "tiny: written" in result.stderr
    assert open_bundle(workstation.out / "tiny")


def test_int4_replaces_it_and_reuses_the_graphs(exported, checkpoint):
    _, workstation, recipe = exported
    graph = workstation.root / "work" / "tiny" / "float" / "encoder_model.onnx"
    made = graph.stat().st_mtime_ns

    result = workstation.export(recipe, "--from", checkpoint, "--quantize", "int4")

    assert result.exit_code == 0, result.stderr
    manifest = open_bundle(workstation.out / "tiny").manifest
    assert manifest.export["quantization"]["scheme"] == "int4"
    assert graph.stat().st_mtime_ns == made
    assert [path.name for path in workstation.out.iterdir()] == ["tiny"], "nothing half-done stays"


def test_a_bundle_that_misses_a_limit_is_not_written(exported, checkpoint, tmp_path):
    _, workstation, _ = exported
    strict = {"logit_difference": 0.0, "quantized_wer_increase": 500, "language_wer_increase": 500}
    recipe = workstation.recipe(quality=strict)
    out = tmp_path / "elsewhere"

    result = workstation.export(recipe, "--from", checkpoint, out=out)
    workstation.recipe()  # as it was

    assert result.exit_code == 1
    assert "the quality gate refuses the bundle" in result.stderr
    assert "logits differ by" in result.stderr
    assert "Traceback" not in result.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("lacking", "complaint"),
    [
        ("tokenizer.json", "it lacks tokenizer.json"),
        ("config.json", "it lacks config.json"),
        ("model.safetensors", "it lacks model.safetensors"),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_one_sentence(
    workstation, checkpoint, lacking, complaint
):
    folder = workstation.root / "checkpoint"
    shutil.copytree(checkpoint, folder)
    (folder / lacking).unlink()

    result = workstation.export(workstation.recipe(), "--from", folder)

    assert result.exit_code == 1
    assert complaint in result.stderr
    assert not workstation.out.exists()


def test_another_model_family_is_refused(workstation, checkpoint):
    folder = workstation.root / "checkpoint"
    shutil.copytree(checkpoint, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "bert"}))

    result = workstation.export(workstation.recipe(), "--from", folder)

    assert result.exit_code == 1
    assert "a bert, not a Whisper checkpoint" in result.stderr


def test_a_recipe_for_a_folder_asks_for_it(workstation):
    result = workstation.export(workstation.recipe())

    assert result.exit_code == 1
    assert "name it with --from DIR" in result.stderr


def test_what_lies_in_the_way_is_not_removed(exported, checkpoint):
    """A folder of that name that is no bundle may be somebody's work."""
    _, workstation, recipe = exported
    shutil.rmtree(workstation.out / "tiny")
    (workstation.out / "tiny").mkdir()
    (workstation.out / "tiny" / "thesis.txt").write_text("three years", encoding="utf-8")

    result = workstation.export(recipe, "--from", checkpoint)

    assert result.exit_code == 1
    assert "is there and is no bundle" in result.stderr
    assert (workstation.out / "tiny" / "thesis.txt").read_text(encoding="utf-8") == "three years"
    assert [path.name for path in workstation.out.iterdir()] == ["tiny"]


def test_help_and_list_do_not_import_torch():
    code = (
        "import sys, export.__main__ as m\n"
        "from click.testing import CliRunner\n"
        "assert CliRunner().invoke(m.main, ['--help']).exit_code == 0\n"
        "result = CliRunner().invoke(m.main, ['--list'])\n"
        "assert 'whisper-base' in result.output, result.output\n"
        "heavy = {'torch', 'transformers', 'optimum', 'onnx', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


@pytest.mark.bundle
@pytest.mark.parametrize("name", ["whisper-base", "whisper-tiny.en"])
def test_the_real_bundles_met_their_limits(bundles, name):
    if not (bundles / name).is_dir():
        pytest.skip(f"no bundle {name}; make it with: make bundle")
    manifest = open_bundle(bundles / name).manifest
    quality = manifest.quality

    assert manifest.model["window"]["margin"] < 50, "it hears in short windows"
    assert manifest.source["adapter"]["model"] == name
    increase = quality["wer"]["quantized"]["all"] - quality["wer"]["original"]["all"]
    assert increase <= quality["limits"]["quantized_wer_increase"]
    assert manifest.export["embedding"] == "float16, lossless"
    assert manifest.model["head_dim"] == 64


@pytest.mark.bundle
def test_the_real_base_model_hears_the_demo(bundles, sample):
    recognizer = open_recognizer(open_bundle(bundles / "whisper-base"), n_threads=2)

    found = recognizer.transcribe(read_flac(sample / "en-ss-noservice.flac"), Request())

    assert found.language == "en"
    assert "number you have dialed is not in service" in found.text
    assert np.isfinite(found.avg_logprob)
