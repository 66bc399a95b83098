"""``python -m export`` from a Granite checkpoint to a verified bundle."""

import json

import numpy as np
import onnx
import pytest
import yaml
from click.testing import CliRunner

from edge_asr.bundle import open_bundle
from edge_asr.records import Task
from export.__main__ import main
from export.granite_original import granite_features
from export.granite_parity import GraniteGraphs
from export.recipe import MODELS
from tests.granite_checkpoint import write_granite_checkpoint

pytestmark = pytest.mark.export

NAME = "granite-4.0-1b-speech"


@pytest.fixture(scope="module")
def granite_checkpoint(tmp_path_factory):
    folder = tmp_path_factory.mktemp("granite")
    return write_granite_checkpoint(folder, dtype="bfloat16", max_shard_size="200KB")


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Return a work folder that all exports share: the float graphs are made once."""
    return tmp_path_factory.mktemp("work")


@pytest.fixture(scope="module")
def export(granite_checkpoint, work):
    """Return a function that runs the command."""

    def run(recipe, out, *options):
        folders = ["--from", granite_checkpoint, "--work", work, "--out", out]
        return CliRunner().invoke(main, [*map(str, [recipe, *folders, *options])])

    return run


@pytest.fixture(scope="module")
def exported(export, tmp_path_factory):
    """Return what the project's own recipe gives."""
    out = tmp_path_factory.mktemp("bundles")
    result = export(NAME, out)
    assert result.exit_code == 0, result.output
    return result, out


def _altered(folder, **changes):
    """Write the project's recipe with changes, under its own name."""
    content = yaml.safe_load((MODELS / f"{NAME}.yaml").read_text(encoding="utf-8"))
    (folder / "licence.txt").write_text("as you like\n", encoding="utf-8")
    path = folder / "altered.yaml"
    altered = {**content, "licence_file": "licence.txt", **changes}
    path.write_text(yaml.safe_dump(altered), encoding="utf-8")
    return path


def test_the_bundle_says_what_it_is_and_what_it_can(exported, granite_checkpoint):
    _, out = exported
    manifest = open_bundle(out / NAME, family="granite").manifest

    assert set(manifest.files) == {
        "LICENSE",
        "audio_encoder.onnx",
        "decoder_model_merged.onnx",
        "embed_tokens.f16",
        "tokenizer.json",
    }
    assert manifest.licence == "Apache-2.0"
    assert manifest.export["quantization"]["scheme"] == "int8"
    assert manifest.export["opset"] == 18
    shards = {path.name for path in granite_checkpoint.glob("*.safetensors")}
    assert len(shards) > 1
    assert shards < manifest.source["sha256"].keys()
    can = manifest.capabilities
    assert can.tasks == [Task.TRANSCRIBE, Task.TRANSLATE]
    assert can.languages == ["en", "fr", "de", "es", "pt", "ja"]
    assert can.translation_targets == ["en", "fr", "de", "es", "pt", "ja", "it", "zh"]
    assert (can.keywords, can.confidence, can.timestamps) == (True, True, True)


def test_the_quality_report_compares_numbers_and_tokens_with_the_original(exported):
    result, out = exported
    quality = open_bundle(out / NAME).manifest.quality

    exact = quality["largest_difference"]["float"]
    close = quality["largest_difference"]["quantized"]
    assert exact["tokens"] == 1.0
    assert max(exact["encoder"], exact["ctc"], exact["logits"]) < 1e-4
    assert exact["encoder"] < close["encoder"] < 0.05
    assert "wer" not in quality, "nothing was said"
    assert "100% of tokens alike" in result.output


def test_a_second_run_builds_nothing(exported, export):
    _, out = exported
    before = (out / NAME / "manifest.json").read_bytes()

    result = export(NAME, out)

    assert "unchanged" in result.output
    assert (out / NAME / "manifest.json").read_bytes() == before


def test_int4_makes_the_decoder_smaller_and_leaves_the_encoder_alone(exported, export, tmp_path):
    _, out = exported

    result = export(NAME, tmp_path, "--quantize", "int4")

    assert result.exit_code == 0, result.output
    int8, int4 = open_bundle(out / NAME).manifest, open_bundle(tmp_path / NAME).manifest
    assert int4.files["audio_encoder.onnx"] == int8.files["audio_encoder.onnx"]
    decoder = "decoder_model_merged.onnx"
    # Its inputs are narrower than a block, which is filled up: much smaller is the real one only.
    assert int4.files[decoder].size < int8.files[decoder].size
    assert int4.export["quantization"]["decoder"]["weights"].startswith("int4")


def test_without_quantization_the_bundle_gives_the_originals_tokens(
    export, granite_checkpoint, tmp_path
):
    from export.granite_original import OriginalGranite

    assert export(NAME, tmp_path, "--quantize", "none").exit_code == 0
    bundle = open_bundle(tmp_path / NAME)
    prompt = [*range(5), bundle.manifest.model["audio_token_id"], *range(40, 60)]
    sound = np.random.default_rng(5).normal(scale=0.1, size=40_000).astype(np.float32)

    graphs = GraniteGraphs(bundle.directory, bundle.manifest.model, n_threads=1)

    wanted = OriginalGranite(granite_checkpoint, n_threads=1).token_ids(sound, prompt, 20)
    assert graphs.greedy(granite_features(sound), prompt, 20) == wanted


def test_graphs_too_large_for_one_file_bring_their_data_along(
    granite_checkpoint, tmp_path, monkeypatch
):
    monkeypatch.setenv("FORCE_ONNX_EXTERNAL_DATA", "1")  # as Optimum does beyond 2 GB
    folders = ["--from", granite_checkpoint, "--work", tmp_path / "work"]
    for quantization in ("none", "int8", "int4"):
        out = ["--out", tmp_path / quantization, "--quantize", quantization]
        result = CliRunner().invoke(main, [*map(str, [NAME, *folders, *out])])
        assert result.exit_code == 0, result.output

    whole = open_bundle(tmp_path / "none" / NAME)
    for graph in ("audio_encoder.onnx", "decoder_model_merged.onnx"):
        assert f"{graph}_data" in whole.manifest.files
        lean = onnx.load(whole.directory / graph, load_external_data=False)
        large = [each for each in lean.graph.initializer if np.prod(each.dims) > 100]
        assert all(each.external_data for each in large)
    for quantization in ("int8", "int4"):
        manifest = open_bundle(tmp_path / quantization / NAME).manifest
        assert not [name for name in manifest.files if name.endswith("_data")]
        assert manifest.quality["largest_difference"]["quantized"]["tokens"] > 0.6


def test_graphs_that_differ_from_the_original_are_refused(export, tmp_path):
    recipe = _altered(tmp_path, quality={"encoder_difference": 1e-12})

    result = export(recipe, tmp_path / "out")

    assert result.exit_code == 1
    assert "the float graphs' audio features differ by" in result.output
    assert not (tmp_path / "out").exists()


def test_with_speech_the_word_error_rates_are_in_the_report(export, speech_folder, tmp_path):
    loose = {"quantized_wer_increase": 500, "language_wer_increase": 500}
    recipe = _altered(tmp_path, quality=loose, clips_per_language=1)

    result = export(recipe, tmp_path / "out", "--speech", speech_folder)

    assert result.exit_code == 0, result.output
    quality = open_bundle(tmp_path / "out" / NAME).manifest.quality
    assert quality["n_clips"] == 3
    assert quality["text_identical"]["float"] == 1.0
    assert quality["wer"]["float"] == quality["wer"]["original"]
    assert set(quality["wer"]) == {"original", "float", "quantized"}
    assert len(quality["speech_manifest_sha256"]) == 64


def test_a_checkpoint_that_is_no_granite_is_one_sentence(granite_checkpoint, tmp_path):
    folder = tmp_path / "whisper"
    folder.mkdir()
    for path in granite_checkpoint.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper"}), encoding="utf-8")

    result = CliRunner().invoke(
        main, [NAME, "--from", str(folder), "--work", str(tmp_path), "--out", str(tmp_path)]
    )

    assert result.exit_code == 1
    assert "a whisper, not a Granite Speech checkpoint" in result.output
    assert "Traceback" not in result.output
