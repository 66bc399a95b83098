"""Puts the benchmark's tables into a page, between two markers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

BEGIN = "<!-- begin: make bench -->"
END = "<!-- end: make bench -->"


class PageError(ValueError):
    """The page has no place for the tables."""


def put_between_markers(page: Path, text: str) -> None:
    """Replace what stands between the markers of a page.

    Raises:
        PageError: it lacks them.
    """
    before, begin, rest = page.read_text(encoding="utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PageError(f"{page}: write {BEGIN} and {END} where the tables belong")
    page.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}", encoding="utf-8")
