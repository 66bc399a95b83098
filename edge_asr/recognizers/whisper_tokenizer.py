"""Token ids <-> text for Whisper: byte-level byte-pair encoding in little memory.

The tokenizers library takes 20 MB for Whisper's 50,000 tokens, a tenth of the process. What a
recognizer asks is little: the bytes of a token, and now and then the tokens of a hint. So the bytes
of all tokens lie here one behind the other, and those of a text are looked for by bisection.
"""

from __future__ import annotations

import codecs
import re
from array import array
from bisect import bisect_left
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec

from edge_asr.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_WORDS = re.compile(r"'(?:s|t|re|ve|m|ll|d)| ?[^\W\d_]+| ?\d+| ?(?:[^\w\s]|_)+|\s+(?!\S)|\s+")
"""What is never merged with what is beside it: GPT-2's pattern (openai/gpt-2, encoder.py), which
Whisper has kept. Python counts fractions and Roman numerals to the letters; GPT-2 does not."""


class _Added(msgspec.Struct, frozen=True):
    id: int
    content: str
    special: bool = False


class _Model(msgspec.Struct, frozen=True):
    vocab: dict[str, int]


class _File(msgspec.Struct, frozen=True):
    """What matters of a ``tokenizer.json``. A merge's rank is the id of what it makes."""

    model: _Model
    added_tokens: list[_Added] = []


class WhisperTokenizer:
    """The tokenizer of a Whisper bundle.

    Raises:
        BundleError: the file is not a tokenizer.
    """

    def __init__(self, path: Path) -> None:
        try:
            file = msgspec.json.decode(path.read_bytes(), type=_File)
            by_id = {token_id: _spelled(token) for token, token_id in file.model.vocab.items()}
        except (OSError, msgspec.MsgspecError, UnicodeEncodeError) as error:
            raise BundleError(f"{path}: not a tokenizer ({error})") from error
        added = {each.id: each.content.encode() for each in file.added_tokens}
        by_id |= added
        self._special = {each.id for each in file.added_tokens if each.special}
        tokens = [by_id.get(token_id, b"") for token_id in range(max(by_id, default=-1) + 1)]
        self._bytes = b"".join(tokens)
        self._ends = array("I", [0])
        for token in tokens:
            self._ends.append(self._ends[-1] + len(token))
        merged = (i for i, token in enumerate(tokens) if token and i not in added)
        self._in_order = array("I", sorted(merged, key=tokens.__getitem__))

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of ``token_ids``, special tokens left out, outer white space stripped."""
        return b"".join(map(self._said, token_ids)).decode(errors="replace").strip()

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Return the text of each token, white space included: together they are all of the text.

        A character that several tokens spell belongs to the first of them; the others have none.
        """
        read = codecs.getincrementaldecoder("utf-8")(errors="replace")
        pieces = [""] * len(token_ids)
        first = 0
        for index, token_id in enumerate(token_ids):
            is_last = index == len(token_ids) - 1
            pieces[first] += read.decode(self._said(token_id), is_last)
            if not read.getstate()[0]:
                first = index + 1
        return pieces

    def encode(self, text: str) -> list[int]:
        """Return the token ids of ``text``. Nothing in it is taken for a special token."""
        return [token_id for word in _WORDS.findall(text) for token_id in self._merged(word)]

    def _merged(self, word: str) -> Iterator[int]:
        """Yield the tokens of a word: neighbours are joined while any two make a token.

        Of several, those that were joined most often when the vocabulary was made come first
        (Sennrich et al., 2016, "Neural Machine Translation of Rare Words with Subword Units").
        """
        whole = word.encode()
        parts = [whole] if self._id(whole) is not None else [bytes([byte]) for byte in whole]
        while True:
            joined = [self._id(left + right) for left, right in pairwise(parts)]
            known = [token_id for token_id in joined if token_id is not None]
            if not known:
                break
            at = joined.index(min(known))
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        for part in parts:
            token_id = self._id(part)
            if token_id is not None:
                yield token_id

    def _id(self, token: bytes) -> int | None:
        at = bisect_left(self._in_order, token, key=self._token)
        if at == len(self._in_order) or self._token(self._in_order[at]) != token:
            return None
        return self._in_order[at]

    def _said(self, token_id: int) -> bytes:
        return b"" if token_id in self._special else self._token(token_id)

    def _token(self, token_id: int) -> bytes:
        """Return the bytes of a token; none of one that the file does not list."""
        if token_id + 1 >= len(self._ends):
            return b""
        return self._bytes[self._ends[token_id] : self._ends[token_id + 1]]


def _letters() -> dict[int, int]:
    """Return what stands for each byte in a ``tokenizer.json``, and the byte.

    Bytes that print stand for themselves, the others, in order, for what follows Latin-1: the
    ``bytes_to_unicode`` of openai/gpt-2, encoder.py.
    """
    printing = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(0x100) if byte not in printing]
    return {byte: byte for byte in printing} | {0x100 + n: byte for n, byte in enumerate(others)}


_BYTES = _letters()


def _spelled(token: str) -> bytes:
    """Return the bytes that a token of the file stands for."""
    return token.translate(_BYTES).encode("latin-1")
