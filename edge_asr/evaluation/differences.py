"""Differences between what was said and what was heard, marked for a page."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from edge_asr.evaluation.scoring import Difference

if TYPE_CHECKING:
    from collections.abc import Iterable

    from edge_asr.evaluation.scoring import Stretch


def as_marked(stretches: Iterable[Stretch]) -> str:
    """Return the words with ``<del>`` around what was not written, ``<ins>`` what was not said.

    A substitution is both, one after the other, in a ``<span class="substituted">``.
    """
    return " ".join(_marked(stretch) for stretch in stretches) or "<em>nothing</em>"


def _marked(stretch: Stretch) -> str:
    said, heard = escape(stretch.said), escape(stretch.heard)
    match stretch.difference:
        case Difference.EQUAL:
            return said
        case Difference.DELETED:
            return f"<del>{said}</del>"
        case Difference.INSERTED:
            return f"<ins>{heard}</ins>"
        case Difference.SUBSTITUTED:
            return f'<span class="substituted"><del>{said}</del> <ins>{heard}</ins></span>'
