"""Token ids <-> text. The one door to the tokenizers library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tokenizers

from edge_asr.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


_INCOMPLETE = "\N{REPLACEMENT CHARACTER}"
"""Stands where the bytes of a character are not all there."""


class Tokenizer:
    """The tokenizer of a bundle."""

    def __init__(self, path: Path) -> None:
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception
            raise BundleError(f"{path}: not a tokenizer ({error})") from error

    def decode(self, token_ids: Sequence[int]) -> str:
        """Return the text of ``token_ids``, special tokens left out, outer white space stripped."""
        return str(self._tokenizer.decode(list(token_ids), skip_special_tokens=True)).strip()

    def pieces(self, token_ids: Sequence[int]) -> list[str]:
        """Return the text of each token, white space included: together they are all of the text.

        A character that several tokens spell belongs to the first of them; the others have none.
        """
        ids, pieces, known = list(token_ids), [""] * len(token_ids), 0
        first = 0
        for end in range(1, len(ids) + 1):
            text = str(self._tokenizer.decode(ids[:end], skip_special_tokens=True))
            if text.endswith(_INCOMPLETE) and end < len(ids):
                continue
            pieces[first], known, first = text[known:], len(text), end
        return pieces

    def encode(self, text: str) -> list[int]:
        """Return the token ids of ``text``, without special tokens."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)
