"""Correction rules: what a recognizer always gets wrong at a site, and what it should be.

A rule replaces whole words, whatever their case and spacing, by the words it names; a rule with
``regex`` is Python's regular expression. They are applied in order, each to what the one before it
left. Pure: text in, text out; :mod:`edge_asr.correcting` records what they changed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import msgspec

from edge_asr.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable

RULES = "rules"
"""What a version says it was made by, in the place of a bundle's name."""


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One correction.

    Raises:
        ConfigError: the pattern is empty or no regular expression, or the replacement names a
            group that the pattern lacks.
    """

    pattern: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    """The words that the recognizer writes, in any case; to be given."""
    replacement: str = ""
    """The words that it should have written; empty: none."""
    language: Annotated[str, msgspec.Meta(min_length=2, max_length=3)] | None = None
    """Only texts in this language (ISO 639-1, such as ``de``); null: all."""
    regex: bool = False
    """``pattern`` is a regular expression of Python's, and ``replacement`` may name its groups."""

    def __post_init__(self) -> None:
        if not self.pattern.strip():
            raise ConfigError("a correction needs a pattern: the words that are to be replaced")
        try:
            compiled = self.compiled
            if self.regex:  # every group may be named, whether it matched or not
                re.compile(f"(?:{self.pattern})|").sub(self.replacement, "")
        except (re.error, IndexError) as error:
            raise ConfigError(f"the correction of {self.pattern!r}: {error}") from error
        if compiled.match(""):
            raise ConfigError(f"the correction of {self.pattern!r} matches where nothing is")

    @property
    def compiled(self) -> re.Pattern[str]:
        """The pattern, as it is looked for."""
        if self.regex:
            return re.compile(self.pattern, re.IGNORECASE)
        words = r"\s+".join(re.escape(word) for word in self.pattern.split())
        return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)

    def apply(self, text: str) -> str:
        """Return the text with all that matches replaced."""
        replacement = self.replacement
        return self.compiled.sub(replacement if self.regex else lambda _: replacement, text)


@dataclass(frozen=True, slots=True)
class Rules:
    """All corrections of a site, in order."""

    rules: tuple[Rule, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rules)

    @property
    def name(self) -> str:
        """What a version says it was made by: :data:`RULES`."""
        return RULES

    @property
    def sha256(self) -> str:
        """SHA-256 of all of them: what a version was made by."""
        fields = [[r.pattern, r.replacement, r.language, r.regex] for r in self.rules]
        return hashlib.sha256(json.dumps(fields).encode()).hexdigest()

    def apply(self, text: str, language: str) -> str:
        """Return the corrected text, which may be the same."""
        for rule in self._of(language):
            text = rule.apply(text)
        return text

    def _of(self, language: str) -> Iterable[Rule]:
        return (rule for rule in self.rules if rule.language in {None, language})
