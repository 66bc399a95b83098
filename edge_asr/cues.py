"""Text with word times -> subtitle cues: two lines that can be read while they are heard.

The limits are those that subtitlers work to (BBC and Netflix guidelines agree on them): 42
characters a line, two lines, seven seconds.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge_asr.records import Word

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LINE_CHARACTERS = 42
LONGEST_S = 7.0
PAUSE_S = 1.0
"""A silence that ends a cue: text is not shown before it is said."""
LINGER_S = 0.5
"""A cue stays so long after its last word, if nothing follows: words' ends are heard early."""


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown at once."""

    start_s: float
    end_s: float
    lines: tuple[str, ...]


def cues(text: str, words: Sequence[Word], end_s: float) -> list[Cue]:
    """Cut a text into cues.

    Args:
        text: on one line.
        words: when each of its words was said, in order; at least one.
        end_s: when it ends; no cue lasts longer.
    """
    groups = list(_groups(_timed(text, words)))
    ends_s = [group[0].start_s for group in groups[1:]] + [end_s]
    found = []
    for group, next_s in zip(groups, ends_s, strict=True):
        start_s = group[0].start_s
        shown_until_s = max(start_s, min(next_s, group[-1].end_s + LINGER_S))
        found.append(Cue(start_s, shown_until_s, _lines([word.text for word in group])))
    return found


def _timed(text: str, words: Sequence[Word]) -> list[Word]:
    """Return the words with all of the text, punctuation too, shared out among them."""
    places = []
    at = 0
    for word in words:
        place = text.find(word.text.strip(), at)
        if place < 0:  # not this text's words: take them as they are
            return [Word(f"{each.text} ", each.start_s, each.end_s) for each in words]
        places.append(place)
        at = place + len(word.text.strip())
    ends = [*places[1:], len(text)]
    places[0] = 0
    parts = [text[start:end] for start, end in zip(places, ends, strict=True)]
    return [Word(part, word.start_s, word.end_s) for word, part in zip(words, parts, strict=True)]


def _groups(words: Sequence[Word]) -> Iterator[list[Word]]:
    """Yield the words of each cue."""
    group: list[Word] = []
    for word in words:
        if group and not _belongs(group, word):
            yield group
            group = []
        group.append(word)
    if group:
        yield group


def _belongs(group: list[Word], word: Word) -> bool:
    pause_s = word.start_s - group[-1].end_s
    if pause_s >= PAUSE_S or word.end_s - group[0].start_s > LONGEST_S:
        return False
    shown = [each.text for each in group]
    ends_sentence = shown[-1].rstrip().endswith((".", "?", "!", "。", "？", "！"))  # noqa: RUF001
    if ends_sentence and len("".join(shown)) > LINE_CHARACTERS:
        return False
    return _fits(_lines([*shown, word.text]))


def _fits(lines: tuple[str, ...]) -> bool:
    return len(lines) <= 2 and all(len(line) <= LINE_CHARACTERS for line in lines)  # noqa: PLR2004


def _lines(parts: Sequence[str]) -> tuple[str, ...]:
    """Return the text on one line, or on the two that are most alike in length."""
    whole = "".join(parts).strip()
    if len(whole) <= LINE_CHARACTERS:
        return (whole,)
    if len(parts) == 1:  # a word that is longer than a line
        return tuple(textwrap.wrap(whole, LINE_CHARACTERS))
    halves = [
        ("".join(parts[:place]).strip(), "".join(parts[place:]).strip())
        for place in range(1, len(parts))
    ]
    return min(halves, key=lambda pair: max(map(len, pair)))
