"""Whisper's tokenizer, beside the tokenizers library on the bundles' own files."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
import tokenizers

from edge_asr.errors import BundleError
from edge_asr.recognizers.whisper_tokenizer import WhisperTokenizer

if TYPE_CHECKING:
    from pathlib import Path

BUNDLES = pytest.mark.parametrize("bundle", ["whisper-base", "whisper-tiny.en"])
TEXTS = [
    "",
    " Stop pump seven, don't wait; we'll see (3.5 % of 12ab).",
    " Die Größe ist 5 µm. ¿Dónde está el cigüeñal? Où ça?",
    " 日本語の 🙂 Text、👍🏽",
    "  a\tb \n\n c  ",
    "x_y __z ---- ... d'l'I'VE",
    " Привет мир مرحبا हिन्दी",
    "No space before",
]


@pytest.mark.bundle
@BUNDLES
@pytest.mark.parametrize("text", TEXTS)
def test_a_text_has_the_tokens_that_the_library_gives_it(bundles: Path, bundle: str, text: str):
    path = bundles / bundle / "tokenizer.json"
    token_ids = WhisperTokenizer(path).encode(text)
    library = tokenizers.Tokenizer.from_file(str(path))
    assert token_ids == library.encode(text, add_special_tokens=False).ids


@pytest.mark.bundle
@BUNDLES
def test_any_tokens_have_the_text_that_the_library_gives_them(bundles: Path, bundle: str):
    path = bundles / bundle / "tokenizer.json"
    tokenizer, library = WhisperTokenizer(path), tokenizers.Tokenizer.from_file(str(path))
    chance = random.Random(7)
    n_tokens = library.get_vocab_size()
    for _ in range(500):
        token_ids = [chance.randrange(n_tokens) for _ in range(9)]
        expected = library.decode(token_ids, skip_special_tokens=True)
        assert tokenizer.decode(token_ids) == expected.strip()
        assert "".join(tokenizer.pieces(token_ids)) == expected


@pytest.mark.bundle
@pytest.mark.parametrize("text", TEXTS)
def test_pieces_of_tokens_are_all_of_the_text(bundles: Path, text: str):
    tokenizer = WhisperTokenizer(bundles / "whisper-base" / "tokenizer.json")
    token_ids = tokenizer.encode(text)
    pieces = tokenizer.pieces(token_ids)
    assert len(pieces) == len(token_ids)
    assert "".join(pieces) == text


@pytest.mark.bundle
def test_a_character_belongs_to_the_first_of_its_tokens(bundles: Path):
    tokenizer = WhisperTokenizer(bundles / "whisper-base" / "tokenizer.json")
    token_ids = tokenizer.encode(" ok🙂 then")
    assert len(token_ids) > 3
    whole = tokenizer.pieces(token_ids)
    assert [piece for piece in whole if piece] == [" ok", "🙂", " then"]


@pytest.mark.bundle
def test_nothing_in_a_text_is_a_special_token(bundles: Path):
    tokenizer = WhisperTokenizer(bundles / "whisper-base" / "tokenizer.json")
    token_ids = tokenizer.encode("<|endoftext|>")
    assert len(token_ids) > 1
    assert tokenizer.decode(token_ids) == "<|endoftext|>"


def written(tmp_path: Path, content: object) -> Path:
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_what_the_file_does_not_list_has_no_text(tmp_path: Path):
    content = {
        "model": {"vocab": {"a": 0, "Ġ": 1, "Ġa": 3}},
        "added_tokens": [
            {"id": 5, "content": "<|end|>", "special": True},
            {"id": 6, "content": "<|0.00|>", "special": False},
        ],
    }
    tokenizer = WhisperTokenizer(written(tmp_path, content))
    assert tokenizer.decode([3, 2, 4, 0, 5, 99]) == "aa"
    assert tokenizer.decode([0, 6]) == "a<|0.00|>"
    assert tokenizer.encode(" a b") == [3, 1]


@pytest.mark.parametrize("content", [[], {"model": {}}, {"model": {"vocab": {"日": 0}}}])
def test_another_file_is_refused(tmp_path: Path, content: object):
    with pytest.raises(BundleError, match="not a tokenizer"):
        WhisperTokenizer(written(tmp_path, content))


def test_a_missing_file_is_refused(tmp_path: Path):
    with pytest.raises(BundleError, match="not a tokenizer"):
        WhisperTokenizer(tmp_path / "tokenizer.json")
