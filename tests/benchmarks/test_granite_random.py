"""The random checkpoint of the benchmarks is, but for its numbers, the real one."""

import json

import pytest
from safetensors import safe_open
from tokenizers import Tokenizer
from torch import bfloat16
from transformers import GraniteSpeechForConditionalGeneration

from benchmarks.granite_random import (
    FULL_BYTES,
    FULL_TENSORS,
    full_config,
    n_bytes,
    tensor_shapes,
    write_checkpoint,
)
from benchmarks.granite_tokenizer import write_tokenizer
from tests.granite_checkpoint import tiny_config
from tests.granite_checkpoint import write_tokenizer as write_tiny_tokenizer

pytestmark = pytest.mark.export


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    tokenizer = tmp_path_factory.mktemp("tiny") / "tokenizer.json"
    return tiny_config(write_tiny_tokenizer(tokenizer))


@pytest.fixture(scope="module")
def checkpoint(config, tmp_path_factory):
    folder = tmp_path_factory.mktemp("random") / "made"
    write_checkpoint(config, folder, shard_bytes=100_000)
    return folder


def test_at_full_size_there_are_as_many_tensors_and_bytes_as_in_the_real_checkpoint():
    shapes = tensor_shapes(full_config())
    assert len(shapes) == FULL_TENSORS
    assert n_bytes(shapes) == FULL_BYTES
    # Batch norms of the encoder: a mean, a variance and a counter each, which are no parameters.
    buffers = 16 * (2 * 2048 * 2 + 8)
    assert n_bytes(shapes) - buffers == 2 * 2_313_141_596


def test_transformers_finds_every_weight_and_no_other(checkpoint):
    _, loading = GraniteSpeechForConditionalGeneration.from_pretrained(
        checkpoint, output_loading_info=True, local_files_only=True
    )
    assert not loading["missing_keys"]
    assert not loading["unexpected_keys"]
    assert not loading["mismatched_keys"]


def test_the_files_hold_what_the_index_says_in_bfloat16(config, checkpoint):
    index = json.loads((checkpoint / "model.safetensors.index.json").read_text(encoding="utf-8"))
    n_found, types = 0, set()
    for file in sorted(checkpoint.glob("*.safetensors")):
        with safe_open(file, framework="pt") as tensors:
            for name in tensors.keys():  # noqa: SIM118 (it is no dict)
                assert index["weight_map"][name] == file.name
                tensor = tensors.get_tensor(name)
                n_found += tensor.numel() * tensor.element_size()
                types |= {tensor.dtype} if tensor.is_floating_point() else set()
    assert n_found == index["metadata"]["total_size"] == n_bytes(tensor_shapes(config))
    assert types == {bfloat16}
    assert len(set(index["weight_map"].values())) > 1


def test_the_same_seed_gives_the_same_weights_and_another_others(config, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_checkpoint(config, tmp_path / name, seed=seed)
    first, same, other = (
        next((tmp_path / name).glob("*.safetensors")).read_bytes() for name in "abc"
    )
    assert first == same
    assert first != other


def test_the_tokenizer_has_granites_size_and_its_special_tokens_at_their_places(tmp_path):
    path = tmp_path / "tokenizer.json"
    write_tokenizer(path, n_tokens=100_353, n_special=97)
    tokenizer = Tokenizer.from_file(str(path))
    assert tokenizer.get_vocab_size() == 100_353
    assert tokenizer.token_to_id("<|pad|>") == 100_256
    assert tokenizer.token_to_id("<|end_of_text|>") == 100_257
    assert tokenizer.token_to_id("<|audio|>") == 100_352
    assert sorted(tokenizer.get_vocab().values()) == list(range(100_353))


def test_the_tokenizer_reads_the_prompt_in_words_and_gives_any_text_back(tmp_path):
    path = tmp_path / "tokenizer.json"
    write_tokenizer(path, n_tokens=100_353, n_special=97)
    tokenizer = Tokenizer.from_file(str(path))
    prompt = "USER: <|audio|>can you transcribe the speech into a written format?\n ASSISTANT:"
    ids = tokenizer.encode(prompt).ids
    assert ids.count(100_352) == 1
    assert len(ids) < 25  # with the real one: 19
    text = "Zwölf Boxkämpfer jagen Viktor; 東京 🎤"
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_a_vocabulary_that_cannot_hold_the_bytes_is_refused(tmp_path):
    with pytest.raises(ValueError, match="too few"):
        write_tokenizer(tmp_path / "tokenizer.json", n_tokens=200, n_special=5)
