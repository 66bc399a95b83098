"""What a person types into a search -> what the database understands. Nothing typed is an error.

Words are looked up in the full-text index: all of them must occur, ``"a phrase"`` as it stands,
``pump*`` as a beginning. Chinese, Japanese, Korean, Thai and their like are not written in words
that the index could tell apart, so a search with such characters compares the text itself.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CHARACTERS = 1_000
_TERM = re.compile(r'"(?P<phrase>[^"]*)"?(?P<phrase_star>\*)?|(?P<word>[^\s"]+)')
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"  # Thai ... Khmer, Jamo
    "\u2e80-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff\uff00-\uffef"  # CJK, kana, Hangul
    "\U0001b000-\U0001b2ff\U00020000-\U0003ffff]",
)


@dataclass(frozen=True, slots=True)
class Term:
    """A word or phrase."""

    text: str
    is_prefix: bool


@dataclass(frozen=True, slots=True)
class Query:
    """What is searched for: all of the terms."""

    terms: tuple[Term, ...]

    @property
    def needs_scan(self) -> bool:
        """Whether the index cannot answer it."""
        return any(_UNSPACED.search(term.text) for term in self.terms)

    @property
    def match(self) -> str:
        """The terms in the language of FTS5, each quoted, so that none of it is syntax."""
        quoted = (f'"{term.text}"' + "*" * term.is_prefix for term in self.terms)
        return " ".join(quoted)

    @property
    def patterns(self) -> list[str]:
        """The terms as patterns of ``LIKE``, with the backslash as escape."""
        escaped = (re.sub(r"([\\%_])", r"\\\1", term.text) for term in self.terms)
        return [f"%{text}%" for text in escaped]


def parse_query(typed: str) -> Query:
    """Return what was typed as terms; there are none if it has no letter and no digit."""
    terms = []
    # A null would end the text for SQLite; half a character cannot be stored, nor found.
    typed = typed[:MAX_CHARACTERS].encode("utf-8", "ignore").decode().replace("\0", " ")
    for match in _TERM.finditer(typed):
        text = match["phrase"] if match["word"] is None else match["word"]
        star = match["phrase_star"] is not None
        if match["word"] is not None and text.endswith("*"):
            text, star = text.rstrip("*"), True
        if any(character.isalnum() for character in text):
            terms.append(Term(text.strip(), star))
    return Query(tuple(terms))
