"""Keywords as they are given, made safe for every family."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_NOT_IN_KEYWORDS = str.maketrans(dict.fromkeys("<>|,", " "))
"""Special tokens are written ``<|...|>``; a comma would make two keywords of one."""


def normalized(keywords: Iterable[str]) -> list[str]:
    """Return keywords in one form, each once, in order; those with nothing to say are left out."""
    found: dict[str, str] = {}
    for keyword in keywords:
        shown = unicodedata.normalize("NFC", keyword).translate(_NOT_IN_KEYWORDS)
        printable = "".join(each if each.isprintable() else " " for each in shown)
        if clean := " ".join(printable.split()):
            found.setdefault(clean.casefold(), clean)
    return list(found.values())
