"""A Granite checkpoint is read a part at a time, whatever its files look like, or refused."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from export.errors import RecipeError, SourceError
from export.granite_checkpoint import Part, load_part, load_whole, write_embedding
from export.granite_decoder import GraniteDecoderGraph
from export.granite_encoder import GraniteEncoderGraph
from export.granite_manifest import granite_capabilities, granite_model
from export.recipe import MODELS, read_recipe
from tests.granite_checkpoint import write_granite_checkpoint

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return write_granite_checkpoint(tmp_path_factory.mktemp("granite"))


@pytest.fixture
def checkpoint(pristine, tmp_path):
    """Return a checkpoint that a test may spoil."""
    return shutil.copytree(pristine, tmp_path / "checkpoint")


@pytest.fixture(scope="module")
def recipe():
    return read_recipe(MODELS / "granite-4.0-1b-speech.yaml")


def _change_config(checkpoint, **changes):
    path = checkpoint / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **changes}), encoding="utf-8")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("part", list(Part))
def test_a_part_has_its_weights_in_float32_and_the_rest_has_no_memory(tmp_path, dtype, part):
    write_granite_checkpoint(tmp_path, dtype=dtype, max_shard_size="200KB")
    whole = load_whole(tmp_path).state_dict()

    model = load_part(tmp_path, part)

    for name, weight in model.state_dict().items():
        if name.startswith(part.value) and "embed_tokens" not in name:
            assert torch.equal(weight, whole[name]), name
            assert weight.dtype in {torch.float32, torch.int64}
        else:
            assert weight.device.type == "meta" or weight.ndim == 0, name


def test_the_graphs_take_the_weights_over(pristine):
    encoder, decoder = load_part(pristine, Part.ENCODER), load_part(pristine, Part.DECODER)

    GraniteEncoderGraph(encoder)
    GraniteDecoderGraph(decoder.language_model)

    left = {
        name
        for model, part in ((encoder, Part.ENCODER), (decoder, Part.DECODER))
        for name, weight in model.named_parameters()
        if name.startswith(part.value) and weight.device.type != "meta" and weight.ndim == 2
    }
    assert left == {f"encoder.layers.{index}.attn.rel_pos_emb.weight" for index in range(2)}


def test_a_tied_head_is_the_embedding(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    _change_config(checkpoint, text_config=config["text_config"] | {"tie_word_embeddings": True})
    weights = load_file(checkpoint / "model.safetensors")
    del weights["language_model.lm_head.weight"]
    save_file(weights, checkpoint / "model.safetensors")

    model = load_part(checkpoint, Part.DECODER)

    embedding = weights["language_model.model.embed_tokens.weight"]
    assert torch.equal(model.language_model.lm_head.weight, embedding)


@pytest.mark.parametrize("smallest", [2.0**-24, 2.0**-30], ids=["lossless", "rounded"])
def test_the_embedding_is_written_as_float16_and_its_loss_is_recorded(tmp_path, smallest):
    write_granite_checkpoint(tmp_path, dtype="bfloat16")
    weights = load_file(tmp_path / "model.safetensors")
    table = weights["language_model.model.embed_tokens.weight"]
    table[7, 7] = smallest  # float16 reaches down to 2 ** -24, bfloat16 much further
    save_file(weights, tmp_path / "model.safetensors")

    facts = write_embedding(tmp_path, tmp_path / "embed_tokens.f16")

    written = np.fromfile(tmp_path / "embed_tokens.f16", dtype="<f2").reshape(table.shape)
    np.testing.assert_array_equal(written, table.float().numpy().astype(np.float16))
    if smallest == 2.0**-24:
        assert facts == {"embedding": "float16, lossless"}
    else:
        said = {"embedding": "float16, rounded", "embedding_largest_error": smallest}
        assert facts == said


def test_an_embedding_beyond_float16_is_refused(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    weights["language_model.model.embed_tokens.weight"][3, 5] = 1e6
    save_file(weights, checkpoint / "model.safetensors")

    with pytest.raises(SourceError, match="values beyond float16"):
        write_embedding(checkpoint, checkpoint / "table")


def test_missing_weights_are_named(checkpoint):
    weights = load_file(checkpoint / "model.safetensors")
    del weights["encoder.layers.1.conv.depth_conv.conv.weight"]
    save_file(weights, checkpoint / "model.safetensors")

    with pytest.raises(SourceError, match=r"the first is encoder\.layers\.1\.conv\.depth_conv"):
        load_part(checkpoint, Part.ENCODER)


def test_weights_of_another_size_are_refused(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    _change_config(checkpoint, text_config=config["text_config"] | {"intermediate_size": 128})

    with pytest.raises(SourceError, match="do not fit its config"):
        load_part(checkpoint, Part.DECODER)


def test_a_cut_file_is_refused(checkpoint):
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])

    with pytest.raises(SourceError, match="download it again"):
        load_part(checkpoint, Part.ENCODER)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"model_type": "whisper"}, "a whisper, not a Granite Speech"),
    ],
)
def test_what_cannot_be_exported_is_refused(checkpoint, changes, complaint):
    _change_config(checkpoint, **changes)

    for part in Part:
        with pytest.raises(SourceError, match=complaint):
            load_part(checkpoint, part)


def test_the_manifest_has_what_a_device_needs(pristine, recipe):
    model = granite_model(pristine, recipe)

    sizes = ("n_mels", "n_fft", "win_length", "hop_length", "block_frames", "projector_window")
    assert [model[name] for name in sizes] == [80, 512, 400, 160, 200, 15]
    assert (model["projector_tokens"], model["n_layers"], model["n_kv_heads"]) == (3, 2, 2)
    assert (model["head_dim"], model["hidden_size"], model["vocab_size"]) == (16, 64, 325)
    assert (model["audio_token_id"], model["end_of_text_id"]) == (324, 321)
    assert (model["max_positions"], model["max_audio_s"]) == (4096, 240)
    assert model["prompt"]["template"] == "USER: <|audio|>{instruction}\n ASSISTANT:"
    assert model["instructions"]["translate"] == "translate the speech to {language}."
    assert model["instructions"]["punctuated"] is None
    assert model["language_names"]["zh"] == "Mandarin"
    assert model["ctc"]["n_labels"] == 348


def test_what_a_config_leaves_out_is_transformers_default(checkpoint, recipe):
    complete = granite_model(checkpoint, recipe)
    path = checkpoint / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    for name in ("window_size", "downsample_rate"):
        del config[name]
    del config["encoder_config"]["context_size"]
    path.write_text(json.dumps(config), encoding="utf-8")

    assert granite_model(checkpoint, recipe) == complete


def test_other_weights_beside_the_models_own_are_left_alone(checkpoint):
    extra = {"weight": torch.ones(4, 64), "bias": torch.ones(4)}
    save_file(extra, checkpoint / "out_llm.safetensors")  # 4.1 has a second CTC head there

    model = load_part(checkpoint, Part.DECODER)

    assert model.language_model.lm_head.weight.device.type == "cpu"


def test_only_the_later_model_punctuates(pristine, recipe):
    later = read_recipe(MODELS / "granite-speech-4.1-2b.yaml")

    assert recipe.prompt.instructions.punctuated is None
    asked = granite_model(pristine, later)["instructions"]["punctuated"]
    assert asked == "transcribe the speech with proper punctuation and capitalization."
    assert granite_capabilities(later).punctuation
    assert not granite_capabilities(recipe).punctuation


def test_a_tokenizer_of_another_model_is_refused(checkpoint, recipe):
    _change_config(checkpoint, audio_token_index=323)

    with pytest.raises(SourceError, match=r"323 for <\|audio\|>"):
        granite_model(checkpoint, recipe)


def test_a_recipe_without_a_prompt_is_refused(pristine):
    whisper = read_recipe(MODELS / "whisper-base.yaml")

    with pytest.raises(RecipeError, match="a granite needs a `prompt`"):
        granite_model(pristine, whisper)
