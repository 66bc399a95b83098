"""Granite 3.3's language model understands speech through a LoRA adapter, which export merges."""

import json
import shutil

import pytest
import torch
import yaml
from click.testing import CliRunner
from safetensors.torch import load_file, save_file
from transformers import GraniteSpeechForConditionalGeneration

from edge_asr.bundle import open_bundle
from edge_asr.recognizers.tokenizer import Tokenizer
from export.__main__ import main
from export.errors import SourceError
from export.granite_checkpoint import Part, load_part
from export.granite_gate import generated_sound
from export.granite_original import OriginalGranite, granite_features
from export.granite_parity import GraniteGraphs
from export.recipe import MODELS
from tests.granite_checkpoint import adapt_granite_checkpoint, write_granite_checkpoint

pytestmark = pytest.mark.export

NAME = "granite-speech-3.3-2b"
QUERY = "language_model.model.layers.1.self_attn.q_proj.weight"


@pytest.fixture(scope="module")
def adapted(tmp_path_factory):
    """Return a checkpoint shaped like 3.3's, small: tied embeddings, no katakana, an adapter."""
    folder = tmp_path_factory.mktemp("adapted")
    write_granite_checkpoint(folder, n_ctc_labels=256, tied=True)
    return adapt_granite_checkpoint(folder)


@pytest.fixture
def checkpoint(adapted, tmp_path):
    """Return a checkpoint that a test may spoil."""
    return shutil.copytree(adapted, tmp_path / "checkpoint")


def _change_adapter(checkpoint, **changes):
    path = checkpoint / "adapter_config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**config, **changes}), encoding="utf-8")


def _without_adapter(checkpoint, folder):
    shutil.copytree(checkpoint, folder, ignore=shutil.ignore_patterns("adapter_*"))
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["has_lora_adapter"] = False
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def _change_weights(checkpoint, change):
    path = checkpoint / "adapter_model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def test_the_bundle_of_the_projects_recipe_gives_the_tokens_with_the_adapter_on(adapted, tmp_path):
    folders = ["--from", adapted, "--work", tmp_path / "work", "--out", tmp_path / "out"]
    command = [NAME, *folders, "--quantize", "none"]

    result = CliRunner().invoke(main, [*map(str, command)])

    assert result.exit_code == 0, result.output
    bundle = open_bundle(tmp_path / "out" / NAME, family="granite")
    model = bundle.manifest.model
    assert model["ctc"]["n_labels"] == 256
    assert "adapter_config.json" in bundle.manifest.source["sha256"]
    template = model["prompt"]["template"]
    prompt = Tokenizer(adapted / "tokenizer.json").encode(
        template.format(instruction=model["instructions"]["transcribe"])
    )
    assert prompt.count(model["audio_token_id"]) == 1
    graphs = GraniteGraphs(bundle.directory, model, n_threads=1)
    original = OriginalGranite(adapted, n_threads=1)
    without = OriginalGranite(_without_adapter(adapted, tmp_path / "plain"), n_threads=1)
    for duration_s in (0.5, 1.7, 4.0):
        sound = generated_sound(duration_s)
        found = graphs.greedy(granite_features(sound), prompt, 12)
        assert found == original.token_ids(sound, prompt, 12)
        assert found != without.token_ids(sound, prompt, 12)


def test_the_language_model_for_text_is_what_it_was_before_it_learnt_to_hear(adapted):
    stored = load_file(adapted / "model.safetensors")
    factors = load_file(adapted / "adapter_model.safetensors")
    base = "base_model.model." + QUERY.removesuffix(".weight")
    down, up = factors[base + ".lora_A.weight"], factors[base + ".lora_B.weight"]

    for_text = load_part(adapted, Part.DECODER, for_speech=False).state_dict()
    for_speech = load_part(adapted, Part.DECODER).state_dict()

    torch.testing.assert_close(for_text[QUERY], stored[QUERY], rtol=0, atol=0)
    added = for_speech[QUERY] - for_text[QUERY]
    torch.testing.assert_close(added, 12 / 4 * up @ down, rtol=1e-4, atol=1e-6)
    key = QUERY.replace("q_proj", "k_proj")
    assert torch.equal(for_speech[key], for_text[key]), "the adapter does not touch keys"


def test_a_rank_stabilised_adapter_has_its_own_scale(checkpoint):
    before = load_part(checkpoint, Part.DECODER, for_speech=False).state_dict()[QUERY]
    plain = load_part(checkpoint, Part.DECODER).state_dict()[QUERY] - before
    _change_adapter(checkpoint, use_rslora=True)

    stabilised = load_part(checkpoint, Part.DECODER).state_dict()[QUERY] - before

    torch.testing.assert_close(stabilised, plain * 2, rtol=1e-4, atol=1e-5)  # 12/sqrt(4), not 12/4


def test_transformers_itself_hears_with_the_adapter_only(adapted):
    model = GraniteSpeechForConditionalGeneration.from_pretrained(adapted)

    assert model._hf_peft_config_loaded, "the oracle must be the one with the adapter"


@pytest.mark.parametrize("name", ["adapter_config.json", "adapter_model.safetensors"])
def test_a_missing_adapter_is_one_sentence_and_no_model_that_understands_nothing(checkpoint, name):
    (checkpoint / name).unlink()

    with pytest.raises(SourceError, match=name):
        load_part(checkpoint, Part.DECODER)
    with pytest.raises(SourceError, match=name):
        OriginalGranite(checkpoint, n_threads=1)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"r": 8}, r"has the ranks \[4\], its config says 8"),
        ({"use_dora": True}, "use_dora is True; only a plain LoRA"),
        ({"target_modules": ["q_proj"]}, "v_proj.*which its config does not name"),
        ({"target_modules": ["q_proj", "v_proj", "o_proj"]}, "no weights for o_proj"),
    ],
)
def test_an_adapter_that_is_not_what_its_config_says_is_refused(checkpoint, changes, complaint):
    _change_adapter(checkpoint, **changes)

    with pytest.raises(SourceError, match=complaint):
        load_part(checkpoint, Part.DECODER)


def test_an_adapter_of_another_model_is_refused(checkpoint):
    def rename(weights):
        for name in list(weights):
            weights[name.replace("layers.1", "layers.7")] = weights.pop(name)

    _change_weights(checkpoint, rename)

    with pytest.raises(SourceError, match="which the checkpoint does not have"):
        load_part(checkpoint, Part.DECODER)


def test_an_adapter_of_another_size_is_refused(checkpoint):
    def narrow(weights):
        for name in weights:
            if "lora_A" in name:
                weights[name] = weights[name][:, :32].contiguous()

    _change_weights(checkpoint, narrow)

    with pytest.raises(SourceError, match="does not fit language_model"):
        load_part(checkpoint, Part.DECODER)


def test_half_of_a_pair_is_refused(checkpoint):
    _change_weights(checkpoint, lambda weights: weights.pop(min(weights)))

    with pytest.raises(SourceError, match="not the weights of a plain LoRA adapter"):
        load_part(checkpoint, Part.DECODER)


def test_the_recipe_asks_as_the_models_own_chat_template_does():
    recipe = yaml.safe_load((MODELS / f"{NAME}.yaml").read_text(encoding="utf-8"))

    turns = recipe["prompt"]["template"].split("<|end_of_text|>")

    assert [turn.lstrip("\n").partition("<|end_of_role|>")[0] for turn in turns] == [
        "<|start_of_role|>system",
        "<|start_of_role|>user",
        "<|start_of_role|>assistant",
    ]
    assert turns[1].endswith("<|end_of_role|><|audio|>{instruction}")
    assert turns[2].endswith("<|end_of_role|>")
