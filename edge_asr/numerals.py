"""Numbers in words -> digits: "twenty-three pumps" becomes "23 pumps".

The field calls it inverse text normalization. It is asked for, never done unasked: which of the
two somebody wants to read, nobody can hear. The one door to text2num, which knows the numbers of
the languages below and nothing of dates, money and clocks.
"""

from __future__ import annotations

import hashlib
from importlib import metadata

from edge_asr.errors import ConfigError

NUMERALS = "numerals"
"""What a version says it was made by, in the place of a bundle's name."""
LANGUAGES = frozenset({"da", "de", "en", "es", "fr", "it", "nl", "pt"})
"""Languages whose numbers are known (ISO 639-1); a text in another one stays as it is."""
LARGEST_IN_WORDS = 3.0
"""A number that stands alone stays in words up to here, since "one" is seldom a number: "one of
them". In a group it does not: "one two three" is a code."""


class Numerals:
    """Writes numbers in digits.

    Raises:
        ConfigError: the extra is not installed.
    """

    name = NUMERALS

    def __init__(self) -> None:
        try:
            from text_to_num import alpha2digit  # noqa: PLC0415 (an extra: asked for, or not there)
        except ImportError as error:
            raise ConfigError(
                "numbers are written as digits by text2num, which is missing; install it with: "
                "pip install 'edge-asr[numerals]'"
            ) from error
        self._in_digits = alpha2digit

    @property
    def sha256(self) -> str:
        """SHA-256 of what decides about the result: the library's version and the threshold."""
        parts = f"text2num {metadata.version('text2num')} {LARGEST_IN_WORDS}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def apply(self, text: str, language: str) -> str:
        """Return the text with its numbers in digits; it may be the same."""
        if language not in LANGUAGES:
            return text
        return str(self._in_digits(text, language, LARGEST_IN_WORDS))
