"""Token ids <-> text. The one door to the tokenizers library."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tokenizers

from edge_asr.errors import BundleError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


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

    def encode(self, text: str) -> list[int]:
        """Return the token ids of ``text``, without special tokens."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)
