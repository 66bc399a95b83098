"""A tokenizer as large as Granite's, made from nothing but the prompts.

Byte-level BPE with as many entries as the real one and its special tokens where the real one has
them. The words of the prompts are single tokens, as in the real one, so that prompts have about
the real length; the other entries are pairs and triples of bytes, in order.
"""

from __future__ import annotations

import json
from itertools import islice, product
from typing import TYPE_CHECKING, Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PAD = "<|pad|>"
END_OF_TEXT = "<|end_of_text|>"
AUDIO = "<|audio|>"
TEXTS = (
    "USER: can you transcribe the speech into a written format?\n ASSISTANT:",
    "USER: translate the speech to French.\n ASSISTANT:",
    "transcribe the speech with proper punctuation and capitalization. Keywords: one, two",
)
"""What is learnt as whole words: the instructions of the recipes."""


def write_tokenizer(path: Path, *, n_tokens: int, n_special: int) -> None:
    """Write ``tokenizer.json``.

    Args:
        path: the file.
        n_tokens: entries in all; the last is the audio token.
        n_special: how many of them are special: the padding token, the end of the text, unused
            ones, the audio token, in this order and at the end.

    Raises:
        ValueError: ``n_tokens`` is too few for the bytes and the prompts' words.
    """
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(
        vocab_size=n_tokens - n_special, initial_alphabet=alphabet, show_progress=False
    )
    tokenizer.train_from_iterator(TEXTS, trainer)
    written: dict[str, Any] = json.loads(tokenizer.to_str())
    _fill_up(written["model"], alphabet, n_tokens - n_special)
    written["added_tokens"] = [
        _special(n_tokens - n_special + index, content)
        for index, content in enumerate(_special_tokens(n_special))
    ]
    path.write_text(json.dumps(written, ensure_ascii=False), encoding="utf-8")


def _fill_up(model: dict[str, Any], alphabet: list[str], n_entries: int) -> None:
    """Add merges of two and of three bytes until the vocabulary has ``n_entries``."""
    vocabulary: dict[str, int] = model["vocab"]
    room = n_entries - len(vocabulary)
    if room < 0:
        raise ValueError(f"{n_entries} entries are too few: the bytes alone are {len(alphabet)}")
    for left, right in islice(_new_merges(vocabulary, alphabet), room):
        model["merges"].append([left, right])
        vocabulary[left + right] = len(vocabulary)


def _new_merges(vocabulary: dict[str, int], alphabet: list[str]) -> Iterator[tuple[str, str]]:
    pairs = [(left, right) for left, right in product(alphabet, repeat=2)]
    triples = ((left + right, last) for left, right in pairs for last in alphabet)
    for merge in (*pairs, *islice(triples, len(pairs))):
        if "".join(merge) not in vocabulary:
            yield merge


def _special_tokens(n_special: int) -> list[str]:
    unused = [f"<|unused_{number}|>" for number in range(1, n_special - 2)]
    return [PAD, END_OF_TEXT, *unused, AUDIO]


def _special(token_id: int, content: str) -> dict[str, Any]:
    plain = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {"id": token_id, "content": content, **plain, "special": True}
