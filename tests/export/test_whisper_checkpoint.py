"""CTranslate2's Whisper becomes Transformers' Whisper, bit for bit."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from export.errors import SourceError
from export.whisper_checkpoint import convert_ctranslate2
from export.whisper_tokens import mended
from tests.export.conftest import model_bin

pytestmark = pytest.mark.export


def _ctranslate2(state):
    """Return the tensors of a checkpoint under CTranslate2's names, fused as it fuses them."""
    made = {"encoder/num_heads": np.array(4, np.int16), "decoder/num_heads": np.array(4, np.int16)}
    made["decoder/embeddings/weight"] = state["model.decoder.embed_tokens.weight"]

    def affine(theirs, *ours):
        weights = [state[f"{name}.weight"] for name in ours]
        zeros = [np.zeros(len(weight), np.float16) for weight in weights]
        made[f"{theirs}/weight"] = np.concatenate(weights)
        biases = zip(ours, zeros, strict=True)
        made[f"{theirs}/bias"] = np.concatenate(
            [state.get(f"{name}.bias", z) for name, z in biases]
        )

    def norm(theirs, ours):
        made[f"{theirs}/gamma"] = state[f"{ours}.weight"]
        made[f"{theirs}/beta"] = state[f"{ours}.bias"]

    for conv in ("conv1", "conv2"):
        affine(f"encoder/{conv}", f"model.encoder.{conv}")
    for side, n_layers in (("encoder", 2), ("decoder", 3)):
        positions = state[f"model.{side}.embed_positions.weight"]
        made[f"{side}/position_encodings/encodings"] = positions
        norm(f"{side}/layer_norm", f"model.{side}.layer_norm")
        for index in range(n_layers):
            theirs, ours = f"{side}/layer_{index}", f"model.{side}.layers.{index}"
            own = f"{ours}.self_attn"
            norm(f"{theirs}/self_attention/layer_norm", f"{ours}.self_attn_layer_norm")
            fused = (f"{own}.q_proj", f"{own}.k_proj", f"{own}.v_proj")
            affine(f"{theirs}/self_attention/linear_0", *fused)
            affine(f"{theirs}/self_attention/linear_1", f"{own}.out_proj")
            if side == "decoder":
                cross = f"{ours}.encoder_attn"
                norm(f"{theirs}/attention/layer_norm", f"{ours}.encoder_attn_layer_norm")
                affine(f"{theirs}/attention/linear_0", f"{cross}.q_proj")
                affine(f"{theirs}/attention/linear_1", f"{cross}.k_proj", f"{cross}.v_proj")
                affine(f"{theirs}/attention/linear_2", f"{cross}.out_proj")
            norm(f"{theirs}/ffn/layer_norm", f"{ours}.final_layer_norm")
            affine(f"{theirs}/ffn/linear_0", f"{ours}.fc1")
            affine(f"{theirs}/ffn/linear_1", f"{ours}.fc2")
    return made


@pytest.fixture
def tensors(checkpoint):
    return _ctranslate2(load_file(checkpoint / "model.safetensors"))


@pytest.fixture
def convert(checkpoint, tmp_path):
    """Return a function that converts tensors and returns the new checkpoint."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    target.mkdir()
    (source / "tokenizer.json").write_bytes((checkpoint / "tokenizer.json").read_bytes())
    ids = {"suppress_ids": [2, 1], "suppress_ids_begin": [5], "alignment_heads": [[1, 0]]}
    (source / "config.json").write_text(json.dumps(ids), encoding="utf-8")

    def call(tensors, **options):
        alias = [("decoder/projection/weight", "decoder/embeddings/weight")]
        (source / "model.bin").write_bytes(model_bin(tensors, alias, **options))
        convert_ctranslate2(source, target)
        return target

    return call


def test_every_weight_is_carried_over_bit_for_bit(convert, tensors, checkpoint):
    converted = load_file(convert(tensors) / "model.safetensors")
    original = load_file(checkpoint / "model.safetensors")

    assert converted.keys() == original.keys()
    for name, weight in original.items():
        assert converted[name].dtype == np.float16
        np.testing.assert_array_equal(converted[name], weight, err_msg=name)


def test_dimensions_and_tokens_are_derived(convert, tensors, checkpoint):
    converted = convert(tensors)
    ours = json.loads((converted / "config.json").read_text(encoding="utf-8"))
    theirs = json.loads((checkpoint / "config.json").read_text(encoding="utf-8"))
    generation = json.loads((converted / "generation_config.json").read_text(encoding="utf-8"))

    sizes = ("d_model", "encoder_layers", "decoder_layers", "decoder_ffn_dim", "vocab_size")
    assert {name: ours[name] for name in sizes} == {name: theirs[name] for name in sizes}
    assert ours["max_source_positions"] == 1500
    assert ours["max_target_positions"] == 48
    assert generation["suppress_tokens"] == [1, 2]
    assert generation["is_multilingual"] is False, "a vocabulary this small is English-only"


def test_keys_with_a_bias_are_refused(convert, tensors):
    name = "encoder/layer_0/self_attention/linear_0/bias"
    altered = tensors[name].copy()
    altered[64] = 0.5  # the first of the keys' 64, behind the queries'

    with pytest.raises(SourceError, match="its keys have a bias"):
        convert({**tensors, name: altered})


def test_a_missing_tensor_is_named(convert, tensors):
    del tensors["decoder/layer_1/ffn/linear_1/bias"]

    with pytest.raises(SourceError, match="decoder/layer_1/ffn/linear_1/bias"):
        convert(tensors)


def test_another_architecture_is_refused(convert, tensors):
    with pytest.raises(SourceError, match="TransformerSpec, not a Whisper"):
        convert(tensors, spec="TransformerSpec")


def test_another_activation_is_refused(convert, tensors):
    with pytest.raises(SourceError, match="another activation"):
        convert({**tensors, "decoder/activation": np.array(0, np.int8)})


@pytest.mark.parametrize("as_pairs", [True, False])
def test_a_tokenizer_that_lost_its_first_merge_gets_it_back(as_pairs):
    merges = [["Ġ", "t"], ["Ġt", "h"]] if as_pairs else ["Ġ t", "Ġt h"]
    whole = {"model": {"vocab": {"Ġ": 0, "t": 1, "h": 2, "Ġt": 3, "Ġth": 4}, "merges": merges}}
    without = {"model": {**whole["model"], "merges": merges[1:]}}

    assert json.loads(mended(json.dumps(without))) == whole
    assert mended(json.dumps(whole)) == json.dumps(whole)
